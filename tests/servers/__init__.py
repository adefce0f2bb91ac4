"""S3 servers on loopback, and a proxy that makes their answers worse; what tests of storage run against."""
