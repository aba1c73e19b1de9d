package main

import (
	"fmt"
	"strings"
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
