"""From records to what people read: the page, its tables, and the chart."""
