package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func newHL7Tree(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "tree FILE…",
		Short: "Show a message's segments in their groups",
		Long: "Prints the segments of each message, indented by the groups of its structure. Segments out of order are put where they\n" +
			"belong, and each is a fault on stderr, as is what is missing. A segment without a place there has a question mark.",
		Example: "  silta hl7 tree referral.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return t.messages(files, func(file string, m *hl7v2.Message) error {
				d, err := hl7v2.Dictionary(hl7v2.NearestVersion(m.Version()))
				if err != nil {
					return err
				}
				s := d.Structure(d.StructureOfMessage(m))
				if s == nil {
					t.faults(file, contracts.Faults{contracts.Faultf(contracts.Invalid, hl7v2.CodeStructure, "MSH-9", "Version %s has no structure for this message type.", d.Version())})
					return nil
				}
				root := m.Group(s)
				t.faults(file, root.Faults())
				if t.json() {
					return t.print(treeOf(root, s.Name))
				}
				_, err = fmt.Fprint(t.out, s.Name+"\n"+branches(root, 1))
				return err
			})
		},
	}
}

// branch is a group or a segment of a tree.
type branch struct {
	Group   string   `json:"group,omitempty"`
	Segment string   `json:"segment,omitempty"`
	Index   *int     `json:"index,omitempty"` // the segment's number in the message, from 0
	Placed  *bool    `json:"placed,omitempty"`
	Members []branch `json:"members,omitempty"`
}

func treeOf(g *hl7v2.Group, name string) branch {
	b := branch{Group: name}
	for _, m := range g.Members {
		if m.Group != nil {
			b.Members = append(b.Members, treeOf(m.Group, m.Group.Name()))
			continue
		}
		i, placed := m.Segment.Index(), m.Node != nil
		b.Members = append(b.Members, branch{Segment: m.Segment.ID(), Index: &i, Placed: &placed})
	}
	return b
}

func branches(g *hl7v2.Group, depth int) string {
	var out strings.Builder
	indent := strings.Repeat("  ", depth)
	for _, m := range g.Members {
		switch {
		case m.Group != nil:
			out.WriteString(indent + m.Group.Name() + "\n" + branches(m.Group, depth+1))
		case m.Node == nil:
			out.WriteString(indent + m.Segment.ID() + " ?\n")
		default:
			out.WriteString(indent + m.Segment.ID() + "\n")
		}
	}
	return out.String()
}
