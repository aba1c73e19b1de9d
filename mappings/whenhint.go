package mappings

import (
	"regexp"
	"strings"
)

var (
	celTyped   = regexp.MustCompile(`^found no matching overload for '_*([^_'\w]+|\w+)_*' applied to '\(?([\w, ()]*)\)?'`)
	celWanted  = regexp.MustCompile(`^expected type '(\w+)' but found '(\w+)'`)
	celUnknown = regexp.MustCompile(`^undeclared reference to '(\w+)'`)
	celInput   = regexp.MustCompile(`input '(.*)' expecting (.*)$`)
	celToken   = regexp.MustCompile(`token recognition error at: '(.*)'$`)
)

// hintOf says in plain words what CEL's parser or checker objects to in an expression, at the given column.
func hintOf(message, expr string, column int) string {
	if m := celTyped.FindStringSubmatch(message); m != nil {
		return typeHint(m[1], strings.Split(strings.Trim(m[2], "()"), ", "))
	}
	if m := celWanted.FindStringSubmatch(message); m != nil {
		return "Here belongs " + kindWord(m[1]) + ", and this is " + kindWord(m[2]) + ": compare it, or ask has('…')."
	}
	if m := celUnknown.FindStringSubmatch(message); m != nil {
		return "There is no " + m[1] + " in expressions" + meantCall(m[1]) + "."
	}
	if syntax, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		before := strings.TrimSpace(string([]rune(expr)[:min(max(column, 0), len([]rune(expr)))]))
		return syntaxHint(syntax, before)
	}
	return "In this expression: " + strings.TrimSuffix(message, ".") + "."
}

func typeHint(operator string, kinds []string) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = kindWord(k)
	}
	switch {
	case operator == "!":
		return "! turns true and false around, and this is " + strings.Join(words, " and ") + ": compare it, or ask has('…')."
	case len(words) == 2 && words[0] != words[1]:
		return operator + " takes two of one kind, and here are " + words[0] + " and " + words[1] + ". A number has no quotes, a text has."
	}
	return operator + " doesn't take " + strings.Join(words, " and ") + "."
}

func kindWord(kind string) string {
	switch kind {
	case "int", "uint", "double":
		return "a number"
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

// spelled are words and signs of other languages, and how CEL writes them.
var spelled = map[string]string{"and": "&&", "AND": "&&", "or": "||", "OR": "||", "not": "!", "NOT": "!", "<>": "!="}

// syntaxHint is about what can't be read; before is what stands in front of it.
func syntaxHint(message, before string) string {
	token, expecting := "", ""
	if m := celToken.FindStringSubmatch(message); m != nil {
		token = strings.TrimSpace(m[1])
	} else if m := celInput.FindStringSubmatch(message); m != nil {
		token, expecting = m[1], m[2]
	}
	last := before[strings.LastIndexAny(before, " ()")+1:]
	if token == ">" && strings.HasSuffix(before, "<") {
		token = "<>"
	}
	switch {
	case spelled[token] != "":
		return token + " is written " + spelled[token] + " in expressions."
	case spelled[last] != "":
		return last + " is written " + spelled[last] + " in expressions."
	case strings.HasPrefix(token, "="):
		return "One = stands here; a comparison has two: ==."
	case strings.HasPrefix(token, "'") || strings.HasPrefix(token, `"`):
		return "A quote opens here that doesn't close."
	case strings.HasPrefix(message, "missing ')'"):
		return "A parenthesis opens that doesn't close."
	case strings.Contains(expecting, "']'") && token == "<EOF>" && !strings.Contains(expecting, "'['"):
		return "A bracket opens that doesn't close."
	case expecting == "':'":
		return "A ? has what counts if it holds, a colon, and what counts otherwise."
	case token == "<EOF>" && before == "":
		return "There is no expression here."
	case token == "<EOF>":
		return "The expression ends too early: something is missing behind " + last + "."
	case token == ")":
		return "This parenthesis closes nothing."
	}
	return "The expression can't be read from here on. It looks like has('PID-8') && v('PID-8') == 'F'."
}
