package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

func newCheck(t *terminal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "check",
		Short:   "Check configuration, contracts, maps and code maps",
		Long:    "Checks everything that `silta serve` would start with, and reports every fault at once. Nothing is started or written.",
		Example: "  silta check -c /srv/silta/silta.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := readSettings(file)
			if err != nil && !errors.As(err, &configuration{}) {
				return err
			}
			agreed, disagreed := s.readAgreements()
			if err := join(err, disagreed, s.checkSecrets(agreed.partners), s.checkTLS(agreed.partners)); err != nil {
				return err
			}
			t.faults(file, agreed.warnings)
			if t.json() {
				return t.print(map[string]any{"partners": len(agreed.partners), "faults": 0})
			}
			who := "Several processes may share its Kafka and PostgreSQL."
			if s.alone() {
				who = "One process runs it; several would need Kafka and PostgreSQL."
			}
			_, err = fmt.Fprintf(t.out, "%s: %d contracts, no faults. %s\n", file, len(agreed.partners), who)
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "silta.yaml", "the configuration")
	return c
}

// join puts the faults of several checks together.
func join(checks ...error) error {
	var faults contracts.Faults
	for _, err := range checks {
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return configuration{faults}
}
