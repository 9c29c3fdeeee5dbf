package proc

// CloseShortWay makes all children go the long way from now on.
func CloseShortWay() { shortWayClosed.Store(true) }
