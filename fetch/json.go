package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Unmarshal is json.Unmarshal with errors for people: they name the field and
// what it holds, and no types of Go.
func Unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: %s (at byte %d)", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("%s, not %s", jsonValue(kind.Value), jsonType(kind.Type))
	case errors.As(err, &kind):
		return fmt.Errorf("%s: %s, not %s", clip(kind.Field), jsonValue(kind.Value), jsonType(kind.Type))
	}
	return err
}

// decode is Unmarshal of what is called name.
func decode(name string, body []byte, v any) error {
	if err := Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w", clip(name), err)
	}
	return nil
}

// jsonValue says what package json has found.
func jsonValue(s string) string {
	switch s {
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "a " + s // string, bool, number, number 1.5
}

// jsonType says what a type of Go is in JSON.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a bool"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "an object"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	}
	return "a number"
}
