"""The watch on the configuration, whatever program saves it: what is told of is whole, and the last of it the newest."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.runtime.config_watch import ConfigWatch
from tests.jack_io.conversation import until
from tests.support.ordinary_user import as_nobody, folder_of_nobody
from tests.support.savers import SAVERS, Save, by_a_new_file, in_place

pytestmark = pytest.mark.asyncio

OLD, NEW = ("".join(f"# {text} line {number}\n" for number in range(200)) for text in ("old", "new"))
DROP_IN = "# a drop-in\n"


class Reader:
    """Reads the main file and the drop-ins whenever it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read: list[dict[str, str]] = []

    def __call__(self) -> None:
        files = [self.path, *sorted(Path(f"{self.path}.d").glob("[!.]*.toml"))]
        self.read.append({file.name: file.read_text() for file in files if file.exists()})

    def has(self, **files: str) -> bool:
        """Tell whether this is what it read last; names without `.toml`."""
        return bool(self.read) and self.read[-1] == {f"{name}.toml": text for name, text in files.items()}


@contextmanager
def watched(folder: Path) -> Iterator[Reader]:
    """Give a reader of a folder's router.toml, which is watched."""
    folder.mkdir(parents=True)
    reader = Reader(folder / "router.toml")
    reader.path.write_text(OLD)
    watch = ConfigWatch(reader.path, reader)
    yield reader
    watch.close()


@contextmanager
def counted(folder: Path, mode: int = 0o700) -> Iterator[tuple[Path, list[None]]]:
    """Give a folder's router.toml, which is watched, and a list that grows whenever that tells."""
    folder.mkdir()
    path, told = folder / "router.toml", list[None]()
    path.write_text(OLD)
    folder.chmod(mode)
    watch = ConfigWatch(path, lambda: told.append(None))
    yield path, told
    watch.close()


@pytest_asyncio.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """Give such a reader."""
    with watched(tmp_path / "config") as reader:
        yield reader


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


async def settled(reader: Reader) -> None:
    """Wait until nothing is told any more, for longer than the watch ever waits."""
    count = -1
    while count != len(reader.read):
        count = len(reader.read)
        await asyncio.sleep(1.2)


async def save_twice(save: Save, folder: Path) -> None:
    """Check that what is told is whole; the second time links and folders are not what they were the first time."""
    with watched(folder / "config") as reader:
        for before, text in ((OLD, NEW), (NEW, OLD)):
            reader.read.clear()
            await asyncio.to_thread(save, reader.path, text)
            await until(partial(reader.has, router=text), what=f"what was saved {save.__name__} is told")
            told = [files in ({"router.toml": text}, {"router.toml": before}) for files in reader.read]
            assert all(told), f"saved {save.__name__}, something else was told"
            assert len(told) <= 2, f"saved {save.__name__}, it was told {len(told)} times"


async def test_what_is_told_of_is_whole(tmp_path: Path) -> None:
    await asyncio.gather(*(save_twice(save, tmp_path / save.__name__) for save in SAVERS))


async def test_every_way_after_every_other(reader: Reader) -> None:
    for number, save in enumerate(SAVERS):
        text = f"# {number}\n" * 100
        await asyncio.to_thread(save, reader.path, text)
        await until(partial(reader.has, router=text), what=f"what was saved by {save.__name__} is told")
    assert all(files and all(files.values()) for files in reader.read)


async def test_drop_ins_come_and_go(reader: Reader) -> None:
    folder = Path(f"{reader.path}.d")
    write(folder / "10-a.toml", DROP_IN)
    await until(lambda: reader.has(**{"router": OLD, "10-a": DROP_IN}))
    elsewhere = reader.path.parent.parent / "dotfiles.toml"
    elsewhere.write_text(DROP_IN)
    (folder / "20-b.toml").symlink_to(elsewhere)
    await until(lambda: reader.has(**{"router": OLD, "10-a": DROP_IN, "20-b": DROP_IN}))
    elsewhere.write_text("# behind a link\n")
    await until(lambda: reader.has(**{"router": OLD, "10-a": DROP_IN, "20-b": "# behind a link\n"}))
    (folder / "10-a.toml").unlink()
    await until(lambda: reader.has(**{"router": OLD, "20-b": "# behind a link\n"}))
    shutil.rmtree(folder)
    await until(lambda: reader.has(router=OLD))
    write(folder / "30-c.toml", DROP_IN)
    await until(lambda: reader.has(**{"router": OLD, "30-c": DROP_IN}))


async def test_a_file_that_goes_for_good_is_told(reader: Reader) -> None:
    reader.path.unlink()
    await until(lambda: reader.read == [{}])
    shutil.rmtree(reader.path.parent)
    reader.path.parent.mkdir()
    reader.path.write_text(NEW)
    await until(lambda: reader.has(router=NEW))


async def test_a_folder_that_may_not_be_read_for_a_while() -> None:
    with folder_of_nobody() as folder, as_nobody(), counted(folder / "config") as (path, told):
        for mode in (0, 0o700):
            told.clear()
            path.parent.chmod(mode)
            await until(lambda: bool(told), what=f"the mode {mode:o} is told")
        told.clear()
        path.write_text(NEW)
        await until(lambda: bool(told))


async def test_a_folder_that_may_not_be_listed(caplog: pytest.LogCaptureFixture) -> None:
    with folder_of_nobody() as folder, as_nobody(), counted(folder / "config", 0o300) as (path, told):
        for save in (in_place, by_a_new_file, in_place):
            told.clear()
            save(path, NEW)
            await until(lambda: bool(told), what=f"what was saved {save.__name__} is told")
        (warning,) = caplog.messages
        assert "may not be listed" in warning
        told.clear()
        path.parent.chmod(0o700)
        await until(lambda: bool(told))
        told.clear()
        write(Path(f"{path}.d") / "10-a.toml", DROP_IN)
        await until(lambda: bool(told))


async def test_a_writer_who_never_closes_is_not_waited_for(reader: Reader) -> None:
    with reader.path.open("w") as file:
        file.write(NEW)
        file.flush()
        await until(lambda: reader.has(router=NEW))


async def test_what_lies_beside_the_files_is_nobody_s_business(reader: Reader) -> None:
    folder = reader.path.parent
    for name in ("router.toml.swp", ".router.toml.swp", "4913", "router.toml~", "notes.txt"):
        (folder / name).write_text("x")
        (folder / name).unlink()
    (folder.parent / "neighbour").mkdir()
    await settled(reader)
    assert reader.read == []


async def test_the_way_may_be_long_and_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c" / "router.toml"
    reader = Reader(path)
    watch = ConfigWatch(path, reader)
    path.parent.mkdir(parents=True)
    path.write_text(NEW)
    await until(lambda: reader.has(router=NEW))
    (tmp_path / "a").rename(tmp_path / "z")
    await until(lambda: reader.read[-1] == {})
    path.parent.mkdir(parents=True)
    path.symlink_to("circle")
    path.with_name("circle").symlink_to("router.toml")
    path.with_name("circle").unlink()
    path.with_name("circle").write_text(OLD)
    await until(lambda: reader.has(router=OLD))
    watch.close()
