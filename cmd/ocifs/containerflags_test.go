package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVolumeFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("data", 0o755); err != nil {
		t.Fatal(err)
	}
	for v, options := range map[string]string{
		"./data:/d": "rbind", "./data:/d:rw": "rbind", "./data:/d/:ro": "rbind,ro", here + "/data:/x/../d": "rbind",
	} {
		m, err := volumeOf(v)
		if err != nil || m.Source != filepath.Join(here, "data") || m.Destination != "/d" || strings.Join(m.Options, ",") != options {
			t.Errorf("%s: %+v, %v", v, m, err)
		}
	}
	for v, why := range map[string]string{
		"": "not SOURCE", "./data": "not SOURCE", ":/d": "not SOURCE", "data:/d": "not SOURCE",
		"./data:d": "absolute", "./data:/": "absolute", "./data:/d/..": "absolute", "./data:": "absolute",
		"./data:/d:z": "neither", "./nothing:/d": "does not exist",
	} {
		if m, err := volumeOf(v); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v, %v", v, m, err)
		}
	}
}

func TestTmpfsFlag(t *testing.T) {
	for v, want := range map[string]string{"/t": "nosuid,nodev", "/t:size=1m,mode=700": "nosuid,nodev,size=1m,mode=700", "/t:": "nosuid,nodev"} {
		if m, err := tmpfsOf(v); err != nil || m.Destination != "/t" || strings.Join(m.Options, ",") != want {
			t.Errorf("%s: %+v, %v", v, m, err)
		}
	}
	if m, err := tmpfsOf("t"); err == nil {
		t.Errorf("%+v", m)
	}
}

func TestContainerEnvironment(t *testing.T) {
	t.Setenv("OCIFS_TEST_HERE", "a=b")
	os.Unsetenv("OCIFS_TEST_NOWHERE")
	var got []string
	for _, e := range []string{"A=", "B=c=d", "OCIFS_TEST_HERE", "OCIFS_TEST_NOWHERE"} {
		if kv, ok := environmentOf(e); ok {
			got = append(got, kv)
		}
	}
	if want := []string{"A=", "B=c=d", "OCIFS_TEST_HERE=a=b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
