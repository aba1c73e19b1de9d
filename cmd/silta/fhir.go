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
		Short: "Print the values at a path, one a line",
		Long: "Prints the values at a path of element names and indexes, one a line: Bundle.entry[2].resource.birthDate, or\n" +
			"Bundle.entry.resource.resourceType for all entries. What is no single value is printed as JSON. Functions of\n" +
			"FHIRPath aren't known.",
		Example: "  silta fhir get Bundle.entry.resource.resourceType bundle.json",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := fhir.CompilePath(args[0])
			if err != nil {
				return configuration{err}
			}
			return t.resources(args[1:], func(_ string, tree *fhir.Tree) error {
				for _, n := range reach(tree.Root(), path) {
					if err := t.node(n); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
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

// reach follows a path as FHIRPath does: a name leads to every item of every node, an index picks among what was
// reached. A path may begin with the resource's type.
func reach(root fhir.Node, path fhir.Path) []fhir.Node {
	if len(path) > 0 && path[0].Name == root.Type() && path[0].Index < 1 {
		path = path[1:]
	}
	nodes := []fhir.Node{root}
	for _, step := range path {
		var next []fhir.Node
		for _, n := range nodes {
			for child := range n.Get(step.Name).Each() {
				next = append(next, child)
			}
		}
		if step.Index >= 0 {
			next = next[min(step.Index, len(next)):min(step.Index+1, len(next))]
		}
		nodes = next
	}
	return nodes
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
