"""What lies in every project of a soak: the ledger's pen, a web process, a producer and the kill points."""
