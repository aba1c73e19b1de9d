package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func newHL7(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "hl7 COMMAND",
		Short: "Read, change, answer and send HL7 v2 messages",
		Long: "Tools for HL7 v2 messages, versions 2.3 to 2.8. A file holds one message, several, or a batch; - is stdin.\n" +
			"Places are written PID-5, PID-3(2).4.2, OBX(3)-5, PID-3[5=NNFIN].1 and PRD[1.1=RT]-2.1; all counting starts at 1.",
		Example: "  silta hl7 get PID-5.1 referral.hl7",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newHL7Parse(t), newHL7Encode(t), newHL7Get(t), newHL7Set(t), newHL7Validate(t), newHL7Tree(t), newHL7Ack(t), newHL7Send(t), newHL7Listen(t))
	return c
}

func newHL7Parse(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "parse FILE…",
		Short: "Print each message as one JSON object",
		Long: "Prints each message as one JSON object a line: type, version, control id, character set, segments with their fields\n" +
			"decoded and their raw text, and warnings. One bad message doesn't keep the others from printing; the exit code is then 1.",
		Example: "  silta hl7 parse referral.hl7 | jq -r '.segments[] | select(.id==\"PID\").fields[4][0][0][0]'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return t.messages(files, func(_ string, m *hl7v2.Message) error {
				_, err := t.out.Write(append(m.AppendJSON(nil), '\n'))
				return err
			})
		},
	}
}

func newHL7Encode(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "encode FILE…",
		Short: "Write the JSON of hl7 parse as HL7 v2",
		Long: "Reads what `silta hl7 parse` printed, changed or not, and writes HL7 v2 in the character set that `charset` names.\n" +
			"What wasn't changed is written as it stood. Segments end in CR.",
		Example: "  silta hl7 parse referral.hl7 | silta hl7 encode - > same.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return t.each(files, t.encode)
		},
	}
}

// encode writes the JSON objects of one file, one after another.
func (t *terminal) encode(file string, b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	for n := 0; ; n++ {
		var object json.RawMessage
		if err := d.Decode(&object); errors.Is(err, io.EOF) && n > 0 {
			return nil
		} else if err != nil {
			t.faults(file, contracts.Faults{contracts.Faultf(contracts.Malformed, hl7v2.CodeJSON, fmt.Sprintf("byte %d", d.InputOffset()), "The JSON can't be read here.")})
			return nil
		}
		er7, err := hl7v2.EncodeJSON(object)
		if err != nil {
			t.faults(file, contracts.FaultsOf(err))
			continue
		}
		t.faults(file, contradiction(er7, object))
		if _, err := t.out.Write(er7); err != nil {
			return err
		}
	}
}

// contradiction warns of a message whose MSH-18 names another character set than it was written in.
func contradiction(er7, object []byte) contracts.Faults {
	var j struct{ Charset string }
	head, _ := hl7v2.Scan(er7) // what is wrong with the message isn't asked here
	if err := json.Unmarshal(object, &j); err != nil || head == nil || head.Raw(18) == nil {
		return nil
	}
	written, known := hl7v2.LookupCharset(j.Charset)
	if !known || written == head.Charset() || !slices.ContainsFunc(er7, func(b byte) bool { return b >= 0x80 }) {
		return nil
	}
	f := contracts.Faultf(contracts.Invalid, hl7v2.CodeCharset, "MSH-18",
		"The message was written in %s, and MSH-18 names %s: who believes it reads other letters. Change both.", written.Name(), head.Charset().Name())
	f.Grade = contracts.GradeWarning
	return contracts.Faults{f}
}

func newHL7Get(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "get PATH FILE…",
		Short: "Print the value at a place, a line a message",
		Long: "Prints a line a message: a leaf unescaped, with line breaks as \\n; a whole field or component as it stands; HL7's\n" +
			"explicit null as \"\"; an absent value as an empty line.",
		Example: "  silta hl7 get 'PID-3[5=NNFIN].1' referral.hl7",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := hl7v2.CompilePath(args[0])
			if err != nil {
				return configuration{err}
			}
			return t.messages(args[1:], func(file string, m *hl7v2.Message) error {
				v := m.Get(path)
				if !t.json() {
					_, err := fmt.Fprintln(t.out, v.Line())
					return err
				}
				got := struct {
					File  string  `json:"file"`
					Path  string  `json:"path"`
					State string  `json:"state"`
					Value *string `json:"value"`
				}{File: file, Path: path.String(), State: stateWords[v.State()]}
				if v.IsFilled() {
					text := v.ER7()
					if v.IsLeaf() {
						text = v.Text()
					}
					got.Value = &text
				}
				return t.print(got)
			})
		},
	}
}

var stateWords = map[hl7v2.State]string{hl7v2.Absent: "absent", hl7v2.Empty: "empty", hl7v2.Null: "null", hl7v2.Filled: "filled"}

func newHL7Set(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "set PATH VALUE FILE",
		Short: "Change one value and nothing else",
		Long: "Writes the message with just that value changed, all other bytes as they were. VALUE is plain text; '\"\"' writes HL7's\n" +
			"explicit null, an empty argument empties. Missing fields are added; a missing segment is a fault.",
		Example: "  silta hl7 set MSH-10 NEW-ID-1 referral.hl7 > again.hl7",
		Args:    cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := hl7v2.CompilePath(args[0])
			if err != nil {
				return configuration{err}
			}
			return t.each(args[2:], func(file string, b []byte) error { return t.set(path, args[1], file, b) })
		},
	}
}

func (t *terminal) set(path hl7v2.Path, value, file string, b []byte) error {
	m, part, err := t.single(file, b)
	if m == nil || err != nil {
		return err
	}
	if err := m.Set(path, value); err != nil {
		t.faults(file, contracts.FaultsOf(err))
		return nil
	}
	_, err = t.out.Write(slices.Concat(b[:part.Offset], m.Bytes(), b[part.Offset+len(part.Bytes):]))
	return err
}

func newHL7Ack(t *terminal) *cobra.Command {
	var code, text, now string
	c := &cobra.Command{
		Use:   "ack FILE",
		Short: "Write the acknowledgement that a message gets",
		Long: "Writes what a standard receiver answers: AA, or CA where MSH-15 and MSH-16 ask for it, AE or AR for what is faulty;\n" +
			"nothing where none is due. Each message of a file is answered. Segments end in CR.",
		Example: "  silta hl7 ack referral.hl7 --code AE --text 'The referring unit is missing.'",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			if code != "" && !slices.Contains([]string{"AA", "AE", "AR", "CA", "CE", "CR"}, code) {
				return usagef("--code is AA, AE, AR, CA, CE or CR")
			}
			at, err := moment(now)
			if err != nil {
				return err
			}
			return t.each(files, func(file string, b []byte) error { return t.acknowledge(file, b, code, text, at) })
		},
	}
	c.Flags().StringVar(&code, "code", "", "MSA-1: AA, AE, AR, CA, CE or CR; without it what the message and its faults ask for")
	c.Flags().StringVar(&text, "text", "", "a text for people")
	c.Flags().StringVar(&now, "now", "", "the time of the acknowledgement (RFC 3339), instead of the clock's")
	return c
}

// acknowledge answers each message of a file.
func (t *terminal) acknowledge(file string, b []byte, code, text string, at time.Time) error {
	options, err := t.hl7Options()
	if err != nil {
		return err
	}
	parts, faults := hl7v2.Split(b)
	if len(parts) == 0 {
		faults = append(faults, contracts.Faultf(contracts.Malformed, hl7v2.CodeNoMessage, "", "The file holds no message."))
	}
	t.faults(file, faults)
	for i, part := range parts {
		head, fault := hl7v2.Scan(part.Bytes, options...)
		if fault == nil {
			_, fault = hl7v2.Parse(part.Bytes, options...)
		}
		if fault == nil {
			fault = unprocessable(head)
		}
		t.faults(file, ofMessage(contracts.FaultsOf(fault), i, len(parts)))
		if head == nil {
			continue
		}
		if err := t.answer(head, part.Bytes, fault, code, text, at); err != nil {
			return err
		}
	}
	return nil
}

func (t *terminal) answer(head *hl7v2.Header, b []byte, fault error, code, text string, at time.Time) error {
	outcome := hl7v2.OutcomeOf(fault)
	if code != "" {
		outcome = hl7v2.Outcome(code[1:])
	}
	standard, due := head.Reply(outcome)
	if !due {
		return nil
	}
	if code == "" {
		code = standard
	}
	id := contracts.DerivedID("acknowledgement", code, text, string(b))
	_, err := t.out.Write(hl7v2.Acknowledge(head, hl7v2.Answer{Code: code, ControlID: id.Control(), Time: at, Text: text, Faults: contracts.FaultsOf(fault)}))
	return err
}

// unprocessable says what no receiver of HL7 v2 can process, whatever its contract: a message without a type, or of
// another HL7 than version 2.
func unprocessable(head *hl7v2.Header) error {
	var f *contracts.Fault
	switch {
	case head.Code() == "":
		f = contracts.Faultf(contracts.Refused, hl7v2.CodeStructure, "MSH-9.1", "The message doesn't say of which type it is.")
		f.ErrorCode = "200"
	case !strings.HasPrefix(head.Version(), "2."):
		f = contracts.Faultf(contracts.Refused, hl7v2.CodeUnknownVersion, "MSH-12.1", "This is no version of HL7 v2.")
		f.ErrorCode = "203"
	default:
		return nil
	}
	return f
}

// ofMessage says of which message of a file faults are, where it holds several.
func ofMessage(faults contracts.Faults, i, of int) contracts.Faults {
	if of < 2 {
		return faults
	}
	out := make(contracts.Faults, len(faults))
	for n, f := range faults {
		g := *f
		g.Public = fmt.Sprintf("%s (Message %d of the file.)", g.Public, i+1)
		out[n] = &g
	}
	return out
}

// hl7Options reads messages as the contract and --charset say.
func (t *terminal) hl7Options() ([]hl7v2.Option, error) {
	if t.charset == "" {
		return t.reading, nil
	}
	charset, known := hl7v2.LookupCharset(t.charset)
	if !known {
		return nil, usagef("--charset %s: no such character set; table 0211 has UNICODE UTF-8, 8859/1, 8859/15 …", t.charset)
	}
	return append(slices.Clone(t.reading), hl7v2.WithDefaultCharset(charset)), nil
}

// messages gives every message of the files to work. Faults are printed; the other messages go on.
func (t *terminal) messages(files []string, work func(file string, m *hl7v2.Message) error) error {
	options, err := t.hl7Options()
	if err != nil {
		return err
	}
	return t.each(files, func(file string, b []byte) error {
		parts, faults := hl7v2.Split(b)
		if len(parts) == 0 && len(faults) == 0 {
			faults = contracts.Faults{contracts.Faultf(contracts.Malformed, hl7v2.CodeNoMessage, "", "The file holds no message.")}
		}
		for i, part := range parts {
			m, err := hl7v2.Parse(part.Bytes, options...)
			if err != nil {
				t.faults(file, ofMessage(contracts.FaultsOf(err), i, len(parts)))
				continue
			}
			t.numbered = func(faults contracts.Faults) contracts.Faults { return ofMessage(faults, i, len(parts)) }
			err = work(file, m)
			t.numbered = nil
			if err != nil {
				return err
			}
		}
		t.faults(file, faults)
		return nil
	})
}

// single gives the one message of a file; nil if it is faulty, which is printed.
func (t *terminal) single(file string, b []byte) (*hl7v2.Message, hl7v2.Part, error) {
	options, err := t.hl7Options()
	if err != nil {
		return nil, hl7v2.Part{}, err
	}
	parts, faults := hl7v2.Split(b)
	t.faults(file, faults)
	if len(parts) != 1 {
		code := hl7v2.CodeSecondMessage
		if len(parts) == 0 {
			code = hl7v2.CodeNoMessage
		}
		t.faults(file, contracts.Faults{contracts.Faultf(contracts.Malformed, code, "", "The file must hold one message, and holds %d.", len(parts))})
		return nil, hl7v2.Part{}, nil
	}
	m, err := hl7v2.Parse(parts[0].Bytes, options...)
	if err != nil {
		t.faults(file, contracts.FaultsOf(err))
		return nil, hl7v2.Part{}, nil
	}
	return m, parts[0], nil
}

// moment reads a --now; without one it is the clock.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("--now takes a time as RFC 3339 has it: 2026-03-01T09:30:00+02:00")
	}
	return at, nil
}
