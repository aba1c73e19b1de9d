package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// crossing is one message of the demo's last table.
type crossing struct {
	What         string           `json:"what"` // in words
	Type         string           `json:"type"`
	Control      string           `json:"controlId"`
	From         string           `json:"from"`
	To           []string         `json:"to"`
	Maps         []string         `json:"maps"` // id@version, in the order of use; none where both sides speak the common form
	State        contracts.State  `json:"state"`
	Milliseconds float64          `json:"ms"` // from receipt to the last receiver's acknowledgement; 0 while there is none
	Fault        *contracts.Fault `json:"fault,omitempty"`
}

// crossings gathers each message's way from its row and its steps.
func crossings(rows []contracts.Row, steps []contracts.Step) []crossing {
	all := make([]crossing, len(rows))
	for i, r := range rows {
		c := crossing{What: thing(r.Type), Type: r.Type, Control: r.Control, From: r.From, To: r.To, Maps: []string{}, State: r.State, Fault: r.Fault}
		var began, ended time.Time
		for _, s := range steps {
			if s.Message != r.ID {
				continue
			}
			switch s.Step {
			case contracts.StepReceived:
				began = s.At
			case contracts.StepDelivered:
				ended = s.At
			case contracts.StepTranslated, contracts.StepReaddress:
				if s.Map != "" {
					c.Maps = append(c.Maps, s.Map)
				}
				if s.Step == contracts.StepReaddress && s.Type != c.Type {
					c.Type = r.Type + " → " + s.Type
				}
			}
		}
		if !ended.IsZero() && !began.IsZero() {
			c.Milliseconds = float64(ended.Sub(began).Microseconds()) / 1000
		}
		all[i] = c
	}
	return all
}

// writeCrossings prints the table for people.
func writeCrossings(out io.Writer, all []crossing, name func(string) string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nwhat\tmessage\tfrom → to\tcontrol id\tmap\tstate\tms")
	for _, c := range all {
		to := make([]string, len(c.To))
		for i, id := range c.To {
			to[i] = name(id)
		}
		maps, ms := strings.Join(c.Maps, ", "), "–"
		if maps == "" {
			maps = "–"
		}
		if c.Milliseconds > 0 {
			ms = fmt.Sprintf("%.1f", c.Milliseconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%s → %s\t%s\t%s\t%s\t%s\n", c.What, c.Type, name(c.From), strings.Join(to, ", "), c.Control, maps, c.State, ms)
	}
	return w.Flush()
}
