// Package chaos kills real processes of Silta under load, and the servers they stand on, and counts what came of every
// message: sent, acknowledged, delivered, in which order, how often.
//
// Senders speak MLLP and keep a message until it is acknowledged. A partner counts what arrives. What happened to the
// processes stands in a log of Disturbances, beside which each second arrival of a message must lie.
package chaos

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"
)

// Disturbance is a time in which something was killed, stopped or full, until it was well again.
type Disturbance struct {
	Kind     string
	From, To time.Time // To is zero while it lasts
}

// Log remembers disturbances. Its methods may be called from many goroutines.
type Log struct {
	mu  sync.Mutex
	all []*Disturbance
}

// Begin notes that something is about to be disturbed; calling what it gives notes that it is well again.
func (l *Log) Begin(kind string) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &Disturbance{Kind: kind, From: time.Now()}
	l.all = append(l.all, d)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		d.To = time.Now()
	}
}

// Count is the number of disturbances.
func (l *Log) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Counts tells how often each kind happened, as "3 × broker killed, …".
func (l *Log) Counts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	byKind := map[string]int{}
	for _, d := range l.all {
		byKind[d.Kind]++
	}
	var parts []string
	for kind, n := range byKind {
		parts = append(parts, fmt.Sprintf("%d × %s", n, kind))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// near says whether a disturbance was going on at some time between two moments, or not longer ago than after.
func (l *Log) near(from, to time.Time, after time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.all {
		if d.From.Before(to) && (d.To.IsZero() || d.To.Add(after).After(from)) {
			return true
		}
	}
	return false
}
