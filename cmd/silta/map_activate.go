package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

// activating is what `silta map activate` and `silta map rollback` ask of a running hub.
type activating struct {
	hub                      client
	partner, typ, at, reason string
}

func newMapActivate(t *terminal, flag *catalogFlag) *cobra.Command {
	var a activating
	c := &cobra.Command{
		Use:   "activate ID@VERSION",
		Short: "Have the running hub translate by a version from a time on",
		Long: "Has the running hub translate by this version what it receives from a time on, wherever a contract names the map without\n" +
			"a version. What was received before keeps its version, also when it is done again. It begins in ten seconds, or at --at.\n" +
			"Nothing is undone: a later activation comes in the place of an earlier one.",
		Example: "  silta map activate apotti.ref-i12@1.1.0 --partner apotti --at 2026-03-02T06:00:00+02:00 --reason 'their new codes'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, version, ok := strings.Cut(args[0], "@")
			if !ok || version == "" {
				return flag.whichVersion(cmd, id)
			}
			return a.ask(t, cmd, id, version)
		},
	}
	a.flags(c)
	return c
}

func newMapRollback(t *terminal) *cobra.Command {
	var a activating
	c := &cobra.Command{
		Use:   "rollback ID",
		Short: "Go back to the version that was active before",
		Long: "Has the running hub go back to the version that was active before the latest activation of the map, for the same partner\n" +
			"and type. It begins in ten seconds, or at --at. A second rollback takes the first one back.",
		Example: "  silta map rollback apotti.ref-i12 --partner apotti",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.Contains(args[0], "@") {
				return usagef("name the map without a version: it goes back to the one before")
			}
			return a.ask(t, cmd, args[0], "")
		},
	}
	a.flags(c)
	return c
}

func (a *activating) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.partner, "partner", "", "only for the messages of this partner")
	c.Flags().StringVar(&a.typ, "type", "", "only for this message type (REF^I12, REF*) or, of what goes out, this event")
	c.Flags().StringVar(&a.at, "at", "", "when it begins, as RFC 3339 has it; in ten seconds unless set")
	c.Flags().StringVar(&a.reason, "reason", "", "why")
	a.hub.flags(c)
}

func (a *activating) ask(t *terminal, cmd *cobra.Command, id, version string) error {
	ask := map[string]any{"map": id, "version": version, "partner": a.partner, "type": a.typ, "reason": a.reason}
	if a.at != "" {
		at, err := time.Parse(time.RFC3339, a.at)
		if err != nil {
			return usagef("--at is a time as RFC 3339 has it: 2026-03-02T06:00:00+02:00")
		}
		ask["at"] = at
	}
	var made contracts.Activation
	if err := a.hub.call(cmd.Context(), "POST", "/api/v1/activations", nil, ask, &made); err != nil {
		return asUsage(err)
	}
	if t.json() {
		return t.print(made)
	}
	whose := ""
	switch {
	case made.Partner != "" && made.Type != "":
		whose = " for " + made.Type + " of " + made.Partner
	case made.Partner+made.Type != "":
		whose = " for " + made.Partner + made.Type
	}
	_, err := fmt.Fprintf(t.out, "%s@%s is active%s from %s on, in place of %s.\n", made.Map, made.Version, whose, made.At.Format(time.RFC3339), made.Before)
	return err
}

func newMapActive(t *terminal) *cobra.Command {
	var hub client
	var all bool
	c := &cobra.Command{
		Use:   "active [ID]",
		Short: "List which versions of maps are active in the running hub",
		Long: "Lists which version of a map is active, for which partner and type and since when, and which will be. What no line is\n" +
			"for is translated by the newest version, or by the one that a contract names. Of several lines that fit a message one for\n" +
			"its partner counts before one for all, then one for its type.",
		Example: "  silta map active ref-i12",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer struct{ Activations []contracts.Activation }
			if err := hub.call(cmd.Context(), "GET", "/api/v1/activations", nil, nil, &answer); err != nil {
				return err
			}
			lines := activeLines(answer.Activations, time.Now())
			return t.active(slices.DeleteFunc(lines, func(l activeLine) bool {
				return len(args) > 0 && l.Map != args[0] || !all && l.State == "over"
			}))
		},
	}
	c.Flags().BoolVar(&all, "all", false, "those that others came in the place of, too")
	hub.flags(c)
	return c
}

// activeLine is an activation, and whether it decides: active, later, or over.
type activeLine struct {
	contracts.Activation
	State string `json:"state"`
}

// activeLines are activations by map, partner, type and time.
func activeLines(all []contracts.Activation, now time.Time) []activeLine {
	var lines []activeLine
	for _, a := range all {
		lines = append(lines, activeLine{a, "over"})
	}
	slices.SortStableFunc(lines, func(a, b activeLine) int {
		return cmp.Or(cmp.Compare(a.Map, b.Map), cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Type, b.Type), a.At.Compare(b.At), a.Made.Compare(b.Made))
	})
	for i := range lines {
		l := &lines[i]
		last := i+1 == len(lines) || lines[i+1].Map != l.Map || lines[i+1].Partner != l.Partner || lines[i+1].Type != l.Type
		switch {
		case l.At.After(now):
			l.State = "later"
		case last || lines[i+1].At.After(now):
			l.State = "active"
		}
	}
	return lines
}

// active prints activations: a table for people, one JSON object a line for programs.
func (t *terminal) active(lines []activeLine) error {
	if t.json() {
		for i := range lines {
			if err := t.print(lines[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(t.err, "Nothing is activated: the newest versions count, or those that contracts name.")
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAP\tPARTNER\tTYPE\tSTATE\tFROM\tBEFORE\tOPERATOR\tREASON")
	for _, l := range lines {
		fmt.Fprintf(w, "%s@%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Map, l.Version, cmp.Or(l.Partner, "all"), cmp.Or(l.Type, "all"), l.State, clock(l.At), l.Before, l.Operator, orDash(l.Reason))
	}
	return w.Flush()
}
