package control

import (
	"fmt"
	"time"
)

// Health is the last look at whether a vassal works.
type Health struct {
	OK bool `json:"ok"`
	// Question is what was asked ("GET /health", "heartbeat"), Result what came of it
	// after Took seconds.
	Question string    `json:"question"`
	At       time.Time `json:"at"`
	Result   string    `json:"result"`
	Took     float64   `json:"took"`
	// Failures is how many questions in a row have failed; at Threshold the vassal is
	// replaced. Remark is why it is not, or what was tried.
	Failures  int    `json:"failures,omitempty"`
	Threshold int    `json:"threshold"`
	Remark    string `json:"remark,omitempty"`
}

// text is a line for people; empty where nobody looks.
func (h *Health) text(now time.Time) string {
	if h == nil {
		return ""
	}
	text := fmt.Sprintf("%s: %s", h.Question, h.Result)
	if h.OK && h.Remark == "" {
		text += fmt.Sprintf(" after %s", time.Duration(h.Took*float64(time.Second)).Round(time.Millisecond))
	}
	text += ", " + age(h.At, now) + " ago"
	if h.Failures > 0 {
		text += fmt.Sprintf("; failed %s in a row, replaced at %d", count(h.Failures, "time"), h.Threshold)
	}
	if h.Remark != "" {
		text += "; " + h.Remark
	}
	return text
}
