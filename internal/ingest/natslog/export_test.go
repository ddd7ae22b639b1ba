package natslog

// StreamName is what a partition's stream is called.
func StreamName(partition int32) string { return streamName(partition) }
