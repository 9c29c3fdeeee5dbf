package vassal

// Forgive forgets earlier failures: if the vassal waits after one, it starts now, or, if
// it starts on demand, is ready to be woken. Others hear it and go on.
func (v *Vassal) Forgive() { v.send(message{kind: forgiven}) }

func (v *Vassal) handleForgiven() {
	v.failures = 0
	if v.state == Failed && !v.retryAt.IsZero() && !v.halted {
		v.handle(message{kind: backOffOver, generation: v.backOff})
	}
}

// Park keeps the vassal from starting until somebody orders it. It must be called
// before Want.
func (v *Vassal) Park() {
	v.send(message{kind: ordered, order: OrderStop, by: "it waits for an order to start (emperor-wait-for-command)", reply: make(chan error, 1)})
}
