package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

// reprocessing is what `silta reprocess` asks the API.
type reprocessing struct {
	IDs     []string   `json:"ids,omitempty"`
	State   string     `json:"state,omitempty"`
	Partner string     `json:"partner,omitempty"`
	Type    string     `json:"type,omitempty"`
	Issue   string     `json:"issue,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Map     string     `json:"map,omitempty"`
	Edit    []byte     `json:"edit,omitempty"`
	DryRun  bool       `json:"dryRun,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

func newReprocess(t *terminal) *cobra.Command {
	var hub client
	var ask reprocessing
	var edit, since string
	c := &cobra.Command{
		Use:   "reprocess [ID…]",
		Short: "Let stored messages go their way again",
		Long: "Lets messages go their way again: those named by ids, or those chosen by state, partner, type and time, in the order of\n" +
			"their reception. Each is translated in memory first; one that would fail stays as it is, is told with its fault, and\n" +
			"makes the exit code 1. What is held goes on in its place; what was delivered or stopped goes again under a new id\n" +
			"that names the old one.\n\n" +
			"An edited copy (--edit, - for stdin) becomes a message of its own; the original is kept. --dry-run says what would be\n" +
			"sent and to whom, and what would differ from what was sent before, by paths, and changes nothing.",
		Example: "  silta show L-2026-000123 --reason 'case 4711' > mended.hl7 && $EDITOR mended.hl7\n" +
			"  silta reprocess L-2026-000123 --edit mended.hl7 --dry-run\n" +
			"  silta reprocess --state parked --partner hus --map ref-i12@1.4.0 --reason 'case 4711'",
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.IDs = args
			if err := ask.read(t, edit, since); err != nil {
				return err
			}
			if len(args) == 0 && ask.State+ask.Partner+ask.Type+ask.Issue == "" && ask.Since == nil {
				return usagef("say which messages: ids, or --issue, --state, --partner, --type, --since")
			}
			shown := reprocessedTable{t: t}
			if err := hub.each(cmd.Context(), "/api/v1/reprocess", ask, shown.line); err != nil {
				return asUsage(err)
			}
			return shown.end()
		},
	}
	c.Flags().StringVar(&ask.State, "state", "", "messages of this state: received translated sending delivered waiting parked refused stopped")
	c.Flags().StringVar(&ask.Partner, "partner", "", "messages that this partner sent or gets")
	c.Flags().StringVar(&ask.Type, "type", "", "messages of this type, such as REF^I12")
	c.Flags().StringVar(&since, "since", "", "messages that came since: 90m, 24h, 7d, 2026-03-01 or a time as RFC 3339 has it")
	c.Flags().StringVar(&ask.Map, "map", "", "the map to use, as ID@VERSION or ID (its newest version); the same as before without it")
	c.Flags().StringVar(&edit, "edit", "", "the file of an edited copy of the one message")
	c.Flags().BoolVar(&ask.DryRun, "dry-run", false, "only say what would be sent")
	c.Flags().StringVar(&ask.Reason, "reason", "", "why")
	c.Flags().StringVar(&ask.Issue, "issue", "", "messages of this issue, as `silta issues` shows it")
	hub.flags(c)
	return c
}

// read fills in what needs reading: the edited copy's file, and the time.
func (ask *reprocessing) read(t *terminal, edit, since string) error {
	if since != "" {
		from, err := sinceWhen(since, time.Now())
		if err != nil {
			return err
		}
		ask.Since = &from
	}
	if edit == "" {
		return nil
	}
	if len(ask.IDs) != 1 {
		return usagef("--edit is of one message, named by its id")
	}
	var err error
	ask.Edit, err = t.read(edit)
	if err == nil && len(ask.Edit) == 0 {
		err = usagef("%s is empty", edit)
	}
	return err
}

// reprocessedTable prints messages as they come: one line each for people, with a line a receiver in a dry run; one
// JSON object a line for programs.
type reprocessedTable struct {
	t  *terminal
	of map[contracts.Outcome]int
}

func (p *reprocessedTable) line(b []byte) error {
	var x contracts.Reprocessed
	if err := json.Unmarshal(b, &x); err != nil {
		return &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-002", Public: "What answers there isn't Silta's API.", Err: err}
	}
	if p.of == nil {
		p.of = map[contracts.Outcome]int{}
	}
	p.of[x.Outcome]++
	if x.Outcome == contracts.OutcomeFailed && (!x.DryRun || x.Control == "") { // a dry run has failed only where nothing was found
		p.t.fail(exitFaulty)
	}
	if p.t.json() {
		return p.t.print(x)
	}
	outcome := string(x.Outcome)
	if x.DryRun {
		outcome = "dry run: " + outcome
	}
	fmt.Fprintf(p.t.out, "%s\t%s\t%s", orDash(x.Control), x.ID, outcome)
	if x.Map != "" {
		fmt.Fprintf(p.t.out, "\tmap %s", x.Map)
	}
	if x.Copy != "" {
		fmt.Fprintf(p.t.out, "\tcopy %s", x.Copy)
	}
	if len(x.Edited) > 0 {
		fmt.Fprintf(p.t.out, "\tedited %s", strings.Join(x.Edited, " "))
	}
	for _, f := range x.Faults {
		fmt.Fprintf(p.t.out, "\t%s", faultWord(f))
	}
	fmt.Fprintln(p.t.out)
	return p.receivers(x)
}

func (p *reprocessedTable) receivers(x contracts.Reprocessed) error {
	w := tabwriter.NewWriter(p.t.out, 0, 0, 2, ' ', 0)
	for _, to := range x.To {
		fmt.Fprintf(w, "  to %s\t%s\tmap %s\tcontrol id %s\tgeneration %d", to.Partner, to.Type, orDash(to.Map), to.Control, to.Generation)
		if len(to.Changed) > 0 {
			fmt.Fprintf(w, "\tchanged %s", strings.Join(to.Changed, " "))
		}
		fmt.Fprintln(w)
		for _, f := range to.Findings {
			fmt.Fprintf(w, "    %s\n", faultWord(f))
		}
	}
	for _, f := range x.Findings {
		fmt.Fprintf(w, "    %s\n", faultWord(f))
	}
	return w.Flush()
}

// end tells how many there were.
func (p *reprocessedTable) end() error {
	if p.t.json() {
		return nil
	}
	var parts []string
	for _, o := range []contracts.Outcome{contracts.OutcomeReleased, contracts.OutcomeQueued, contracts.OutcomeReplaced, contracts.OutcomeSent, contracts.OutcomeKnown, contracts.OutcomeFailed} {
		if p.of[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.of[o], o))
		}
	}
	if len(parts) == 0 {
		parts = []string{"No message."}
	}
	_, err := fmt.Fprintln(p.t.err, strings.Join(parts, ", "))
	return err
}
