"""What wakes a consumer: LISTEN/NOTIFY, the doorbell of one host, and the slow poll behind both."""
