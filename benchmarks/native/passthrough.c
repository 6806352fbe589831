/* passthrough CHANNELS: the least that any client can do that carries sound, to be compared with: one memcpy a channel.
 *
 * All inputs are asked for before the first output, as a client must that does not know how its ports are connected.
 */
#include "client.h"

enum { MOST = 64 };

static int channels;
static jack_port_t *input[MOST], *output[MOST];

static int on_process(jack_nframes_t frames, void *arg)
{
    (void)arg;
    const float *in[MOST];
    for (int c = 0; c < channels; c++) in[c] = jack_port_get_buffer(input[c], frames);
    for (int c = 0; c < channels; c++) memcpy(jack_port_get_buffer(output[c], frames), in[c], frames * sizeof(float));
    return 0;
}

int main(int argc, char **argv)
{
    channels = argc > 1 ? atoi(argv[1]) : 2;
    if (channels > MOST) stop("too many channels");
    jack_client_t *client = open_client("passthrough");
    for (int c = 0; c < channels; c++) {
        input[c] = register_port(client, "in_", c + 1, JackPortIsInput);
        output[c] = register_port(client, "out_", c + 1, JackPortIsOutput);
    }
    jack_set_process_callback(client, on_process, NULL);
    if (jack_activate(client)) stop("not activated");
    say_ready();
    stay();
    jack_client_close(client);
}
