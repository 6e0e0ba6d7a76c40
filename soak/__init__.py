"""What is lost when things break: Celeriac and its peers under real faults, counted outside of them."""
