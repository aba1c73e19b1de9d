package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
)

func newFHIR(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:     "fhir COMMAND",
		Short:   "Check FHIR R4 resources and look into them",
		Example: "  silta fhir validate bundle.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newFHIRValidate(t), newFHIRGet(t))
	return c
}

func newFHIRValidate(t *terminal) *cobra.Command {
	var urls, packages []string
	var partner, config string
	c := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check resources against FHIR R4 and profiles",
		Long: "Checks each file's resource against FHIR R4: elements and how often they stand, the form of values, required codes,\n" +
			"references, invariants, and the rules of message and document Bundles; against the profiles that are named by --profile\n" +
			"and those that resources claim in meta.profile; and extensions against their definitions. R4's own profiles and Silta's\n" +
			"are there; others come from FHIR packages, by --package or from the configuration. With --contract the file is a message\n" +
			"of that partner: also whether the contract takes it, and the profile that the contract asks for its event.\n" +
			"Faults are on stderr, each with its FHIRPath and the rule that it breaks; the exit code is 1 if there is an error.\n" +
			"Warnings and notes don't count.",
		Example: "  silta fhir validate bundle.json\n" +
			"  silta fhir validate patient.json --package hl7.fhir.fi.base.tgz \\\n" +
			"    --profile https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/fi-base-patient\n" +
			"  silta fhir validate answer.json --contract hus",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			if config == "" && partner != "" && isFile("silta.yaml") {
				config = "silta.yaml" // where the contract is looked for, too
			}
			if config != "" {
				s, err := readSettings(config)
				if err != nil {
					return err
				}
				for _, p := range s.FHIR.Packages {
					packages = append(packages, s.path(p))
				}
			}
			known, err := loadPackages(packages)
			if err != nil {
				return configuration{err}
			}
			t.faults("", asWarnings(known.Check()))
			var agreed *contracts.Partner
			if partner != "" {
				if agreed, err = fhirContract(partner); err != nil {
					return err
				}
			}
			return t.resources(files, func(file string, tree *fhir.Tree) error {
				asked := urls
				if agreed != nil {
					head, err := fhir.ScanTree(tree)
					if err != nil {
						t.faults(file, contracts.FaultsOf(err))
						return nil
					}
					t.faults(file, hub.Refusals(agreed, contracts.Message{Format: contracts.FormatFHIR, Type: head.Event}))
					if url := agreed.ProfileOf(head.Event, profiles.ForEvent); url != "" {
						asked = append(asked[:len(asked):len(asked)], url)
					}
				}
				t.faults(file, known.Validate(tree, asked...))
				return nil
			})
		},
	}
	c.Flags().StringArrayVar(&urls, "profile", nil, "the canonical URL of a profile that the resource must have; may stand several times")
	c.Flags().StringArrayVar(&packages, "package", nil, "a FHIR package, its folder or its .tgz, whose profiles are known; may stand several times")
	c.Flags().StringVar(&partner, "contract", "", "the partner whose message it is, or a contract's file")
	c.Flags().StringVarP(&config, "config", "c", "", "the configuration whose FHIR packages are known; with --contract silta.yaml, if it is there")
	return c
}

// fhirContract reads the contract of a partner that speaks FHIR.
func fhirContract(name string) (*contracts.Partner, error) {
	p, err := contract("--contract", name)
	if err != nil {
		return nil, err
	}
	if p.Dialect.Format != contracts.FormatFHIR {
		return nil, usagef("--contract %s: this partner doesn't speak FHIR", name)
	}
	return p, nil
}

func newFHIRGet(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "get FHIRPATH FILE…",
		Short: "Print the values of a FHIRPath expression, one a line",
		Long: "Prints the values of a FHIRPath expression, one a line; what is no single value is printed as JSON, and nothing where\n" +
			"nothing is found. %resource is the file's resource, and resolve() finds what is in its Bundle. A path of names and\n" +
			"indexes gives values as they are written: 1.10 stays 1.10. An expression that can't be read or evaluated is exit code 2.",
		Example: "  silta fhir get Bundle.entry.resource.resourceType bundle.json\n" +
			"  silta fhir get \"Bundle.entry.resource.ofType(Patient).name.where(use = 'official').family\" bundle.json",
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			values, err := reader(args[0])
			if err != nil {
				return configuration{err}
			}
			return t.resources(args[1:], func(file string, tree *fhir.Tree) error {
				nodes, err := values(tree.Root())
				if err != nil {
					t.faults(file, contracts.FaultsOf(err))
					t.fail(exitUsage)
				}
				for _, n := range nodes {
					if err := t.node(n); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// reader compiles an expression. A path of names and indexes reads the tree itself, which keeps every literal as it
// came; the library computes with decimals.
func reader(expression string) (func(fhir.Node) ([]fhir.Node, error), error) {
	if path, err := fhir.CompilePath(expression); err == nil {
		return func(n fhir.Node) ([]fhir.Node, error) { return path.All(n), nil }, nil
	}
	e, err := fhir.CompileExpression(expression)
	if err != nil {
		return nil, err
	}
	return e.Values, nil
}

// resources gives every file's resource to work. A file that is none is a fault; the others go on.
func (t *terminal) resources(files []string, work func(file string, tree *fhir.Tree) error) error {
	return t.each(files, func(file string, b []byte) error {
		tree, err := fhir.Parse(b)
		if err != nil {
			t.faults(file, contracts.FaultsOf(err))
			return nil
		}
		return work(file, tree)
	})
}

// node prints a value: a text as it is with line breaks as \n, anything larger as JSON.
func (t *terminal) node(n fhir.Node) error {
	if t.json() || n.Kind() == fhir.KindObject {
		_, err := fmt.Fprintf(t.out, "%s\n", n.Append(nil))
		return err
	}
	_, err := fmt.Fprintln(t.out, strings.NewReplacer("\r\n", `\n`, "\n", `\n`, "\r", `\n`).Replace(n.Text()))
	return err
}
