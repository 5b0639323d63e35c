//! A look at a broker: its queues, their lengths, a sample of task names.
