package emperor

import (
	"emperor/emperor/control"
	"emperor/internal/config"
	"emperor/vassal"
)

// healthOptions are what the main file says of its vassals' health.
var healthOptions = []config.Option{
	{Name: "emperor-required-heartbeat", Type: config.Seconds, Min: 1, Default: "30", Where: config.Main,
		Help: "Seconds after which a uWSGI whose heartbeat has stopped is asked whether it works; one that is busy, or answers, stays. Who promises a heartbeat more seldom than twice in that time gets the time of two."},
}

// health is what the control socket shows of the last look at a vassal's health.
func health(i *vassal.Inspection) *control.Health {
	if i == nil {
		return nil
	}
	return &control.Health{
		OK: i.Failures == 0, Question: i.Question, At: i.At, Result: i.Result, Took: i.Took.Seconds(),
		Failures: i.Failures, Threshold: i.Threshold, Remark: i.Remark,
	}
}
