package main

import (
	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/hub"
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
					t.faults(file, hub.Refusals(agreed, contracts.Message{
						Format: contracts.FormatV2, Type: m.Code() + "^" + m.Event(), Version: m.Version(),
						Processing: m.ProcessingID(), Application: m.Header().SendingApplication(),
					}))
				}
				t.faults(file, hl7v2.Validate(m, nil))
				return nil
			})
		},
	}
	c.Flags().StringVar(&partner, "contract", "", "the partner whose contract must take the message")
	return c
}
