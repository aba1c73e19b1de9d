package main

import (
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

func newIssues(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:   "issues",
		Short: "List what somebody has to look at, like faults in one",
		Long: "Lists the issues, the one with the newest message first. An issue groups like faults: of one partner and map, of one\n" +
			"code at one place. Its messages are parked, or they went on and stay in it until somebody closes it: those with a code\n" +
			"that a code map with `unmapped: task` doesn't know. `silta list --issue` shows the messages.",
		Example: "  silta issues\n  silta list --issue K3J5QX2A",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct{ Issues []contracts.Issue }
			if err := hub.call(cmd.Context(), "GET", "/api/v1/issues", nil, nil, &answer); err != nil {
				return err
			}
			return t.issues(answer.Issues)
		},
	}
	hub.flags(c)
	c.AddCommand(newIssuesClose())
	return c
}

func newIssuesClose() *cobra.Command {
	var hub client
	var reason string
	c := &cobra.Command{
		Use:     "close ISSUE",
		Short:   "Say that somebody has looked at an issue",
		Long:    "Closes an issue whose messages went on. The next message with such a fault opens it again. An issue of parked messages\nends when they are mended, released or stopped.",
		Example: "  silta issues close K3J5QX2A --reason 'The code is in ref-i12@0.3.0'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return hub.call(cmd.Context(), "POST", "/api/v1/issues/"+url.PathEscape(args[0])+"/close", nil, map[string]string{"reason": reason}, nil)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	hub.flags(c)
	return c
}

// issues prints issues: a table for people, one JSON object a line for programs.
func (t *terminal) issues(issues []contracts.Issue) error {
	if t.json() {
		for i := range issues {
			if err := t.print(issues[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(issues) == 0 {
		_, err := fmt.Fprintln(t.err, "No issue.")
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ISSUE\tPARKED\tMESSAGES\tPARTNER\tMAP\tFIRST\tLAST\tNEWEST\tFAULT")
	for _, i := range issues {
		parked := "no"
		if i.Parked {
			parked = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, parked, i.Messages, orDash(i.Partner), orDash(i.Map), clock(i.First), clock(i.Last), i.Message, faultWord(i.Fault))
	}
	return w.Flush()
}
