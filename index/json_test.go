package index

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// anything reads any JSON value into what encoding/json makes of it.
func (j *jsonReader) anything() any {
	switch j.next() {
	case '{':
		m := map[string]any{}
		j.object(func(key []byte) {
			k := string(key)
			m[k] = j.anything()
		})
		return m
	case '[':
		a := []any{}
		j.array(func() { a = append(a, j.anything()) })
		return a
	case '"':
		return string(j.string())
	case 't':
		return j.word("true")
	case 'f':
		return !j.word("false")
	case 'n':
		j.null()
		return nil
	}
	return json.Number(j.number())
}

var texts = []string{
	`{"version":1,"entries":[{"name":"a/b","size":-12,"x":[1.5e+7,-0.25E-3,0,null,true,false,{}]}]}`,
	" [ \"\\u00e9\\ud83d\\ude00\\n\\/\\\"\" , \"\\ud83d\", \"\\ude00\\ud83d\", \"\\ud83dx\", \"\xff\xfe\xc3\xa9\" ]\r\n",
	`"\uD83D\uDE00\ud83D\u0041"`, `-`, `01`, `1.`, `1e`, `+1`, `.5`, `-0`, `"\x"`, `"\u12g4"`, `"\u123`, `"`, `{"a"}`, `{"a":}`, `{,}`, `[,]`, `[1,]`,
	`{"a":1,}`, `nul`, `nulls`, `[`, `]`, `{`, `"a" "b"`, "\"\n\"", "\"\x7f\"", ``, ` `, `{"a":1,"a":2}`, `"\\`, "\"\\\"", "\x00", "1\x00",
	strings.Repeat("[", 32) + strings.Repeat("]", 32), `{"a": [ ] , "b" : { } }`,
}

// FuzzJSON holds jsonReader against encoding/json.
func FuzzJSON(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		j := jsonReader{b: b}
		got := j.anything()
		j.end()
		skip := jsonReader{b: b}
		skip.skip()
		skip.end()
		if (skip.err == nil) != (j.err == nil) {
			t.Errorf("skipped: %v, read: %v", skip.err, j.err)
		}
		if j.err != nil {
			if json.Valid(b) && bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) <= jsonDepth {
				t.Errorf("refused: %v", j.err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !json.Valid(b) {
			t.Fatalf("taken: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	})
}

// TestJSONInt reads whole numbers of 64 bits and no others.
func TestJSONInt(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "-0": 0, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		j := jsonReader{b: []byte(s)}
		if got := j.int(); j.err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, j.err)
		}
	}
	for _, s := range []string{"9223372036854775808", "1.0", "1e3", `"1"`, "true", "", "-", "1.5"} {
		j := jsonReader{b: []byte(s)}
		if got := j.int(); j.err == nil {
			t.Errorf("%s: %d", s, got)
		}
	}
}

// TestJSONStops has nothing more to read after an error.
func TestJSONStops(t *testing.T) {
	j := jsonReader{b: []byte(`[1,x,"s",{"k":2}]`)}
	n := 0
	j.array(func() { n++; j.int() })
	if j.err == nil || n != 2 {
		t.Errorf("%d values, %v", n, j.err)
	}
	if j.next() != 0 || j.string() != nil || j.null() {
		t.Error("it goes on")
	}
}
