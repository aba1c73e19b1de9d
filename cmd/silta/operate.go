package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

func newFind(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:   "find ID",
		Short: "Find messages by any id",
		Long: "Finds messages by any id: Silta's own, the partner's control id or Bundle id, a referral's placer or filler id, a\n" +
			"journey's, a patient's. Nothing found is exit code 1.",
		Example: "  silta find L-2026-000123",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer struct{ Messages []contracts.Row }
			if err := hub.call(cmd.Context(), "POST", "/api/v1/find", nil, map[string]string{"id": args[0]}, &answer); err != nil {
				return err
			}
			if len(answer.Messages) == 0 {
				return contracts.Faultf(contracts.NotFound, "CLI-003", "", "Nothing has this id.")
			}
			return t.rows(answer.Messages)
		},
	}
	hub.flags(c)
	return c
}

func newList(t *terminal) *cobra.Command {
	var hub client
	var state, partner, typ, issue, since string
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List messages, newest first",
		Example: "  silta list --state parked --since 24h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"state": state, "partner": partner, "type": typ, "issue": issue} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if since != "" {
				from, err := sinceWhen(since, time.Now())
				if err != nil {
					return err
				}
				query.Set("since", from.UTC().Format(time.RFC3339))
			}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(limit))
			}
			var answer struct{ Messages []contracts.Row }
			if err := hub.call(cmd.Context(), "GET", "/api/v1/messages", query, nil, &answer); err != nil {
				return asUsage(err)
			}
			return t.rows(answer.Messages)
		},
	}
	c.Flags().StringVar(&state, "state", "", "only this state: received translated sending delivered waiting parked refused stopped")
	c.Flags().StringVar(&partner, "partner", "", "only what this partner sent or gets")
	c.Flags().StringVar(&typ, "type", "", "only this type, such as REF^I12")
	c.Flags().StringVar(&issue, "issue", "", "only messages of this issue, as `silta issues` shows it")
	c.Flags().StringVar(&since, "since", "", "only what came since: 90m, 24h, 7d, 2026-03-01 or a time as RFC 3339 has it")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many; 200 unless set")
	hub.flags(c)
	return c
}

// asUsage tells a refused argument from other faults.
func asUsage(err error) error {
	if contracts.KindOf(err) == contracts.Invalid {
		return configuration{err}
	}
	return err
}

// sinceWhen reads 90m, 24h, 7d, a day or a time.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, usagef("--since takes 90m, 24h, 7d, 2026-03-01 or a time as RFC 3339 has it")
}

func newTrace(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:     "trace ID",
		Short:   "Show all that happened to a referral",
		Example: "  silta trace L-2026-000123",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var trace contracts.Trace
			if err := hub.call(cmd.Context(), "POST", "/api/v1/trace", nil, map[string]string{"id": args[0]}, &trace); err != nil {
				return err
			}
			return t.trace(trace)
		},
	}
	hub.flags(c)
	return c
}

func newShow(t *terminal) *cobra.Command {
	var hub client
	var raw, canonical bool
	var sent, reason string
	c := &cobra.Command{
		Use:   "show MESSAGE",
		Short: "Print a message's body; it is audited",
		Long: "Prints the bare body of a message: the bytes that came in, the canonical Bundle, or the bytes that went to a partner.\n" +
			"Every look is audited with its reason, which a development hub doesn't ask for. By control id: the newest message.",
		Example: "  silta show L-2026-000123 --sent hus --reason 'The ward asks for the diagnosis code, case 4711'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"view": {string(contracts.ViewRaw)}}
			if canonical {
				query.Set("view", string(contracts.ViewCanonical))
			}
			if sent != "" {
				query = url.Values{"view": {string(contracts.ViewSent)}, "partner": {sent}}
			}
			header := http.Header{"Silta-Reason": {url.PathEscape(reason)}}
			body, err := hub.raw(cmd.Context(), "GET", "/api/v1/messages/"+url.PathEscape(args[0])+"/body", query, header, nil)
			if contracts.KindOf(err) == contracts.Denied && reason == "" {
				return configuration{err} // only the hub knows whether it needs one; a flag that lacks is wrong usage
			}
			if err != nil {
				return err
			}
			_, err = t.out.Write(body)
			return err
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "the bytes that came in (so without a flag)")
	c.Flags().BoolVar(&canonical, "canonical", false, "the canonical FHIR Bundle")
	c.Flags().StringVar(&sent, "sent", "", "the bytes that went to this partner")
	c.Flags().StringVar(&reason, "reason", "", "why you look at it")
	c.MarkFlagsMutuallyExclusive("raw", "canonical", "sent")
	hub.flags(c)
	return c
}

func newStop(t *terminal) *cobra.Command {
	var hub client
	var reason string
	c := &cobra.Command{
		Use:   "stop ID",
		Short: "End a message: no further attempt is made to send it",
		Long: "Ends a message that waits, is parked or is on its way. Its referral's later messages go on without it. An attempt that\n" +
			"is under way isn't broken off; what is printed says whether the partner may have the message.",
		Example: "  silta stop L-2026-000123 --reason 'Sent again by hand under another id'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("--reason is needed: say why the message is stopped")
			}
			var stopped contracts.Stopped
			if err := hub.call(cmd.Context(), "POST", "/api/v1/messages/"+url.PathEscape(args[0])+"/stop", nil, map[string]string{"reason": reason}, &stopped); err != nil {
				return err
			}
			return t.stopped(stopped)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why it is stopped")
	hub.flags(c)
	return c
}

func newRelease(t *terminal) *cobra.Command {
	var hub client
	var reason, issue string
	c := &cobra.Command{
		Use:     "release KEY|--issue ISSUE",
		Short:   "Let a parked key try again at once",
		Long:    "Lets a parked or waiting key try again at once, beginning with its first message. KEY is the key itself or any id of a\nmessage that it holds up; an id that names several keys releases them all, and an issue those of its messages.",
		Example: "  silta release L-2026-000123",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 == (issue == "") {
				return usagef("say what to release: a key or an id, or --issue")
			}
			if issue != "" {
				var answer struct{ Messages []contracts.Row }
				if err := hub.call(cmd.Context(), "GET", "/api/v1/messages", url.Values{"issue": {issue}, "state": {"parked"}, "limit": {"10000"}}, nil, &answer); err != nil {
					return err
				}
				if len(answer.Messages) == 0 {
					return contracts.Faultf(contracts.NotFound, "CLI-003", "", "No parked message is of this issue.")
				}
				for _, row := range answer.Messages {
					args = append(args, string(row.ID))
				}
			}
			for _, key := range args {
				err := hub.call(cmd.Context(), "POST", "/api/v1/release", nil, map[string]string{"key": key, "reason": reason}, nil)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&issue, "issue", "", "the parked messages of this issue, as `silta issues` shows it")
	c.Flags().StringVar(&reason, "reason", "", "why it is released")
	hub.flags(c)
	return c
}

func newPause(t *terminal) *cobra.Command {
	return onPartner("pause", "Send nothing to a partner until it is resumed",
		"Sends nothing to a partner until `silta resume`. What is for it waits and isn't counted as failed; what it sends comes\nin all the same. The word outlives restarts.",
		"  silta pause hus --reason 'Their new version, until 14:00'")
}

func newResume(t *terminal) *cobra.Command {
	return onPartner("resume", "Send to a partner again", "Ends a pause: what waited goes out in order.", "  silta resume hus")
}

// onPartner makes the command that asks the hub to do something about a partner.
func onPartner(do, short, long, example string) *cobra.Command {
	var hub client
	var reason string
	c := &cobra.Command{
		Use: do + " PARTNER", Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return hub.call(cmd.Context(), "POST", "/api/v1/partners/"+url.PathEscape(args[0])+"/"+do, nil, map[string]string{"reason": reason}, nil)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	hub.flags(c)
	return c
}

func newPartners(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:     "partners",
		Short:   "List the partners, with the state of the way to each",
		Long:    "Lists the partners: live, paused (by an operator), down (it doesn't answer and is probed) or none (nothing is sent to it);\nhow many of its messages wait and are parked, and how many records its courier has not finished.",
		Example: "  silta partners",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct{ Partners []contracts.PartnerRow }
			if err := hub.call(cmd.Context(), "GET", "/api/v1/partners", nil, nil, &answer); err != nil {
				return err
			}
			return t.partners(answer.Partners)
		},
	}
	hub.flags(c)
	return c
}
