package logsink

import (
	"sync"
	"time"
)

// sayAgain is after how long a place that still fails is complained of once more.
const sayAgain = 10 * time.Minute

// Complaints remembers what was said of which place: a vassal that starts again and
// again has a new sink each time, and what is wrong with its log was said.
type Complaints struct {
	mu   sync.Mutex
	said map[string]complaint // guarded by mu; by the place's name
}

type complaint struct {
	text string
	at   time.Time
}

// isNew tells whether it was not said lately, and notes that it is now.
func (c *Complaints) isNew(place, text string) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if old, ok := c.said[place]; ok && old.text == text && now.Sub(old.at) < sayAgain {
		return false
	}
	if c.said == nil {
		c.said = map[string]complaint{}
	}
	c.said[place] = complaint{text, now}
	return true
}

// over notes that there is nothing to complain of any more.
func (c *Complaints) over(place string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.said, place)
}
