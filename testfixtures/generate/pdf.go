package generate

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// PDF gives a valid one-page document that shows lines. It is at least size bytes long, filled with a stream that no
// page shows; a small size gives the document alone (about 800 bytes).
func PDF(lines []string, size int) []byte {
	var page strings.Builder
	page.WriteString("BT /F1 12 Tf 72 770 Td 16 TL\n")
	for _, line := range lines {
		latin, err := charmap.Windows1252.NewEncoder().String(line)
		if err != nil {
			latin = "?"
		}
		fmt.Fprintf(&page, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(latin))
	}
	page.WriteString("ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		stream(page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}
	document := assemble(objects)
	if missing := size - len(document); missing > 0 {
		document = assemble(append(objects, stream(strings.Repeat("silta ", missing/6+1))))
	}
	return document
}

func stream(content string) string {
	return fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content)
}

// assemble writes the objects, numbered from 1, with the table of where each begins.
func assemble(objects []string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	begins := make([]int, len(objects))
	for i, o := range objects {
		begins[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range begins {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return b.Bytes()
}
