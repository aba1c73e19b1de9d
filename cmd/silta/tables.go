package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// rows prints messages: a table for people, one JSON object a line for programs.
func (t *terminal) rows(rows []contracts.Row) error {
	if t.json() {
		for i := range rows {
			if err := t.print(rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(t.err, "No message.")
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tTYPE\tFROM\tTO\tSTATE\tCONTROL ID\tMAP\tID\tFAULT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clock(r.At), orDash(r.Type), r.From, orDash(strings.Join(r.To, ",")), r.State,
			orDash(r.Control), orDash(r.Map), r.ID, faultWord(r.Fault))
	}
	return w.Flush()
}

// stopped tells what was stopped, and whether the partner may have it.
func (t *terminal) stopped(s contracts.Stopped) error {
	if t.json() {
		return t.print(s)
	}
	told := "not delivered"
	if s.Partner != "" && s.Unknown {
		told = "unknown whether " + s.Partner + " has it"
	}
	_, err := fmt.Fprintf(t.out, "%s\t%s\tstopped\t%s\n", orDash(s.Control), s.ID, told)
	return err
}

// partners prints partners.
func (t *terminal) partners(rows []contracts.PartnerRow) error {
	if t.json() {
		for i := range rows {
			if err := t.print(rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARTNER\tTITLE\tSTATE\tWAITING\tPARKED\tLAG\tPAUSED SINCE\tREASON")
	for _, r := range rows {
		since, reason := "-", "-"
		if r.Pause != nil {
			since, reason = clock(r.Pause.Since), orDash(r.Pause.Reason)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", r.ID, orDash(r.Title.EN), r.State, r.Waiting, r.Parked, r.Lag, since, reason)
	}
	return w.Flush()
}

// trace prints a journey.
func (t *terminal) trace(trace contracts.Trace) error {
	if t.json() {
		return t.print(trace)
	}
	fmt.Fprintf(t.out, "journey  %s\nstate    %s\n", orDash(string(trace.Journey)), trace.State)
	for _, id := range trace.IDs {
		fmt.Fprintf(t.out, "%-8s %s (%s)\n", id.Kind, id.Value, id.Partner)
	}
	fmt.Fprintln(t.out)
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tSTEP\tTYPE\tFROM\tTO\tCONTROL ID\tMAP\tANSWER\tOTHER\tFAULT")
	for _, s := range trace.Steps {
		answer := orDash(s.Answer)
		if s.Attempt > 1 {
			answer += fmt.Sprintf(" (attempt %d)", s.Attempt)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clock(s.At), s.Step, orDash(s.Type), orDash(s.From), orDash(s.To), orDash(s.Control),
			orDash(s.Map), answer, orDash(string(s.Other)), faultWord(s.Fault))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range trace.Steps {
		t.findings(s)
	}
	return nil
}

// findings prints what a translation could not carry. Notes are only counted: a message may have dozens.
func (t *terminal) findings(s contracts.Step) {
	if len(s.Losses) == 0 {
		return
	}
	notes := 0
	fmt.Fprintf(t.out, "\n%s of %s, map %s, to %s:\n", s.Step, s.Control, orDash(s.Map), orDash(s.To))
	for _, f := range s.Losses {
		if f.Grade == contracts.GradeNote {
			notes++
			continue
		}
		fmt.Fprintln(t.out, "  "+faultWord(f))
	}
	if notes > 0 {
		word := "notes"
		if notes == 1 {
			word = "note"
		}
		fmt.Fprintf(t.out, "  %d %s (--format json lists them)\n", notes, word)
	}
}

// clock writes a time in the reader's own zone.
func clock(at time.Time) string { return at.Local().Format("2006-01-02 15:04:05.000") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// faultWord is a fault in a cell: kind, code, place and text.
func faultWord(f *contracts.Fault) string {
	if f == nil {
		return "-"
	}
	word := string(f.Kind)
	for _, part := range []string{f.Code, f.Place()} {
		if part != "" {
			word += " " + part
		}
	}
	return word + ": " + f.Public
}
