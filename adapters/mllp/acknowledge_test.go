package mllp

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Whatever has an MSH gets an acknowledgement that can be read and names it byte for byte, or none; nothing panics.
func FuzzAcknowledge(f *testing.F) {
	for _, seed := range []string{
		message("A1"), message(""), message("A1", "P|2.5.1|||AL|NE"), message("A1", "P|2.3"), message("A\x1c1"), "MSH|^~\\&", "MSH", "", "MSH|^~\\&#|||||||REF^I12|A1|P|2.7",
		"MSH$%~\\&$A%1$B$C$D$2026$$REF%I12$K~1$P$2.4$$$$$$8859/1\rZZ1$\xe4", "\xef\xbb\xbfMSH|^~\\&|A|B|C|D|2026||ACK|K|P|2.5\rMSA|AA|X",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(3))
	}
	faults := []*contracts.Fault{
		nil,
		{Kind: contracts.Malformed, Code: hl7v2.CodeBadByte, At: "byte 12", ErrorCode: "102", Public: "Byte 12 isn't a character – é."},
		{Kind: contracts.Refused, Code: "HUB-013", At: "MSH-9.1", ErrorCode: "200", Public: "Not taken | here ^ or ~ there."},
		{Kind: contracts.Conflict, Code: "HUB-012", At: "MSH-10", ErrorCode: "205", Public: "Known."},
	}
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		fault := faults[int(n)%len(faults)]
		receipt := contracts.Receipt{ID: "x", At: firstSeen, Fault: fault}
		b := acknowledge(nil, "lab", hl7v2.ReadHeader(body), receipt)
		if !bytes.Equal(b, acknowledge(nil, "lab", hl7v2.ReadHeader(body), receipt)) {
			t.Fatal("a repeat gets other bytes")
		}
		header, _ := hl7v2.Scan(body)
		if b == nil {
			return
		}
		answer, _ := hl7v2.Scan(b)
		if header == nil || answer == nil {
			t.Fatal("there is an answer to no message, or one that is no message")
		}
		ack, err := hl7v2.ReadAcknowledgement(b)
		if err != nil || ack.Accepted() != (fault == nil) {
			t.Fatalf("the answer is %s: %v", ack.Code, err)
		}
		if bytes.ContainsAny(b, framing) {
			t.Fatal("the answer can't be framed")
		}
		separator := string(header.Delimiters().Field)
		echo := header.Raw(10)
		if bytes.ContainsAny(echo, framing) {
			echo = nil
		}
		msa := strings.TrimRight("\rMSA"+separator+ack.Code+separator+string(echo), separator) + "\r"
		if !bytes.Contains(b, []byte(msa)) {
			t.Fatal("MSA-2 isn't MSH-10")
		}
	})
}
