"""The measurements that README and docs quote, on real servers: `make bench`. What each measures stands in README.md."""
