"""What a monitor asks every few seconds: of queues, of workers, and how many tasks ended, how and when."""
