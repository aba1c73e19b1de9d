package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func newHL7Validate(t *terminal) *cobra.Command {
	var partner string
	c := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check messages against HL7 v2",
		Long: "Checks each message against the dictionary of its own version: which segments stand where and how often, required\n" +
			"fields, repetitions, the form of values, and codes of the tables that the standard fixes. With --contract also whether\n" +
			"that partner's contract takes the type, version and processing id; more than that a contract doesn't say. Faults are on\n" +
			"stderr, each with its place; the exit code is 1 if there is one. Warnings don't count.",
		Example: "  silta hl7 validate referral.hl7 --contract apotti",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			var agreed *contracts.Partner
			if partner != "" {
				p, err := contract(partner)
				if err != nil {
					return err
				}
				if p.Dialect.Format != contracts.FormatV2 {
					return usagef("--contract %s: this partner doesn't speak HL7 v2", partner)
				}
				if agreed = p; t.charset == "" {
					t.charset = p.Dialect.Charset
				}
			}
			return t.messages(files, func(file string, m *hl7v2.Message) error {
				t.faults(file, m.Warnings())
				if agreed != nil {
					t.faults(file, refusals(agreed, m))
				}
				t.faults(file, hl7v2.Validate(m, nil))
				return nil
			})
		},
	}
	c.Flags().StringVar(&partner, "contract", "", "the partner whose contract must take the message")
	return c
}

// refusals says what the partner's door would refuse in the header, under the codes that the hub uses. A door stops
// at the first; here all come at once.
func refusals(p *contracts.Partner, m *hl7v2.Message) contracts.Faults {
	var faults contracts.Faults
	refuse := func(code, errorCode, at, text string) {
		faults = append(faults, &contracts.Fault{Kind: contracts.Refused, Code: code, At: at, ErrorCode: errorCode, Public: text})
	}
	typ := m.Code() + "^" + m.Event()
	sameCode := func(accepted string) bool { return strings.HasPrefix(accepted, m.Code()+"^") }
	switch {
	case contracts.Takes(p.Accepts.Types, typ):
	case slices.ContainsFunc(p.Accepts.Types, sameCode):
		refuse("HUB-014", "201", "MSH-9.2", "The contract doesn't take this event of the message type.")
	default:
		refuse("HUB-013", "200", "MSH-9.1", "The contract doesn't take this message type.")
	}
	if !contracts.Takes(p.Accepts.Processing, m.Header().ProcessingID()) {
		refuse("HUB-015", "202", "MSH-11.1", "The contract doesn't take this processing id.")
	}
	if !contracts.Takes(p.Accepts.Versions, m.Version()) {
		refuse("HUB-016", "203", "MSH-12.1", "The contract doesn't take this version of HL7.")
	}
	return faults
}
