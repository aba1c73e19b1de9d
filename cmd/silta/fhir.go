package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
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
	return &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check resources against FHIR R4",
		Long: "Checks each file's resource against FHIR R4: elements and how often they stand, the form of values, required codes,\n" +
			"references, and the rules of message and document Bundles. Faults are on stderr, each with its FHIRPath; the exit code\n" +
			"is 1 if there is one.",
		Example: "  silta fhir validate bundle.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return t.resources(files, func(file string, tree *fhir.Tree) error {
				t.faults(file, fhir.Validate(tree))
				return nil
			})
		},
	}
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
