package mappings

import (
	"encoding/base64"
	"mime"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// notLines is the content type of a plain text that can't become lines: it stays TEXT^PLAIN for the lenses of files,
// and no selector on text/plain takes it.
const notLines = "text/plain;"

// plainUTF8 turns an attachment's plain text into UTF-8 and its content type into a bare text/plain, so that maps need
// to know one form of it alone. A text that is only pointed at, or isn't in a character set that is known, is a file.
func plainUTF8(n *node) {
	kind := n.get("contentType")
	if kind == nil {
		return
	}
	bare, parameters, err := mime.ParseMediaType(kind.text)
	if err != nil || bare != "text/plain" {
		return
	}
	kind.text = bare
	data := n.get("data")
	if data == nil {
		if n.get("url") != nil {
			kind.text = notLines
		}
		return
	}
	raw, err := decodeBase64(data.text)
	if err != nil {
		return // the lens says so
	}
	charset := parameters["charset"]
	if charset == "" {
		charset = "utf-8"
	}
	known, err := htmlindex.Get(charset)
	if err != nil {
		kind.text = notLines
		return
	}
	if name, _ := htmlindex.Name(known); name != "utf-8" {
		if raw, err = known.NewDecoder().Bytes(raw); err == nil {
			data.text = base64.StdEncoding.EncodeToString(raw)
		}
	}
	if err != nil || !utf8.Valid(raw) {
		kind.text = notLines
	}
}
