"""The events floor: batches of loaders in, one store of events by customer and time out."""
