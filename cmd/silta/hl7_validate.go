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
			"that partner's contract takes the type, version and processing id, and whether the message keeps to its rules and to\n" +
			"its description of Z-segments; it is then read as the contract says. Faults are on stderr, each with its place; the\n" +
			"exit code is 1 if there is one. Warnings don't count.",
		Example: "  silta hl7 validate referral.hl7 --contract apotti",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			var agreed agreedPartner
			if partner != "" {
				var err error
				if agreed, err = v2Contract(partner); err != nil {
					return err
				}
				t.reading = agreed.reading
			}
			return t.messages(files, func(file string, m *hl7v2.Message) error {
				t.faults(file, m.Warnings())
				if agreed.Partner != nil {
					t.faults(file, hub.Refusals(agreed.Partner, contracts.Message{
						Format: contracts.FormatV2, Type: m.MessageType(), Version: m.Version(),
						Processing: m.ProcessingID(), Application: m.Header().SendingApplication(),
					}))
				}
				t.faults(file, hl7v2.Validate(m, nil))
				t.faults(file, agreed.agreement.Check(m))
				return nil
			})
		},
	}
	c.Flags().StringVar(&partner, "contract", "", "the partner whose contract the message must keep to, or a contract's file")
	return c
}

// agreedPartner is a v2 partner's contract with what it says of messages, compiled.
type agreedPartner struct {
	*contracts.Partner
	reading   []hl7v2.Option
	agreement *hl7v2.Agreement
}

// v2Contract reads the contract of a partner that speaks HL7 v2.
func v2Contract(name string) (agreedPartner, error) {
	p, err := contract("--contract", name)
	if err != nil {
		return agreedPartner{}, err
	}
	if p.Dialect.Format != contracts.FormatV2 {
		return agreedPartner{}, usagef("--contract %s: this partner doesn't speak HL7 v2", name)
	}
	reading, unread := hl7v2.ReadingOptions(p)
	agreement, disagreed := hl7v2.NewAgreement(p)
	if err := join(unread, disagreed); err != nil {
		return agreedPartner{}, err
	}
	return agreedPartner{p, reading, agreement}, nil
}
