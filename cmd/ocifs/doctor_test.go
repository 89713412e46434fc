package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestDoctor says of an image with mirrors where it comes from, and shows no
// secret on the way.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	home := registrytest.Start(t, registrytest.Options{Auth: registrytest.Auth{Mode: registrytest.Basic, Username: "u", Password: "s3cr3t"}})
	mirror := registrytest.Start(t, registrytest.Options{})
	blob := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	for _, reg := range []*registrytest.Server{home, mirror} {
		reg.Push("team/app", "v1", registrytest.Layer{Blob: blob.Blob, DiffID: blob.DiffID})
	}
	mirror.Use(registrytest.On(registrytest.Blob, registrytest.IgnoreRange()))
	down := registrytest.Start(t, registrytest.Options{})
	down.Use(registrytest.Status(503))
	w.put("registries.conf", fmt.Sprintf("[aliases]\n'app'='r.example/team/app'\n[[registry]]\nprefix='r.example'\nlocation=%q\n[[registry.mirror]]\nlocation=%q\n[[registry.mirror]]\nlocation=%q\n[[registry]]\nlocation='no.example'\nblocked=true\n", home.Host, down.Host, mirror.Host))
	auth := base64.StdEncoding.EncodeToString([]byte("u:s3cr3t"))
	w.put(".docker/config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, home.Host, auth))
	w.env = append(w.env, "OCIFS_REGISTRIES_CONF="+w.in("registries.conf"), "HTTPS_PROXY=http://u:s3cr3t@proxy.example:3128", "XDG_RUNTIME_DIR="+w.home)

	checks, r := w.doctor("app:v1")
	for _, c := range []struct {
		group, server, name string
		state               verdict
		text                string
	}{
		{"cache", "", "directory", checkNote, w.in("cache")},
		{"configuration", "", "registries.conf", checkNote, w.in("registries.conf")},
		{"configuration", "", "credentials", checkNote, w.in(".docker/config.json")},
		{"configuration", "", "HTTPS_PROXY", checkNote, "http://proxy.example:3128"},
		{"app:v1", "", "name", checkNote, "r.example/team/app:v1, as " + w.in("registries.conf") + " says"},
		{"app:v1", "", "governed by", checkNote, w.in("registries.conf") + `, [[registry]] prefix "r.example"`},
		{"app:v1", down.Host, "mirror", checkWarning, "503"},
		{"app:v1", mirror.Host, "mirror", checkOK, mirror.Host + "/team/app: sha256:"},
		{"app:v1", mirror.Host, "ranges", checkWarning, "whole"},
		{"app:v1", mirror.Host, "credentials", checkNote, "none (it asked for none)"},
		{"app:v1", home.Host, "registry", checkOK, home.Host + "/team/app: sha256:"},
		{"app:v1", home.Host, "credentials", checkNote, w.in(".docker/config.json") + ", " + home.Host + " (it asked for a password)"},
		{"app:v1", home.Host, "ranges", checkOK, "parts"},
		{"app:v1", home.Host, "referrers", checkNote, "by tags"},
	} {
		i := slices.IndexFunc(checks, func(x check) bool { return x.Group == c.group && x.Server == c.server && x.Name == c.name })
		if i < 0 || checks[i].State != c.state || !strings.Contains(checks[i].Text, c.text) {
			t.Fatalf("want %+v in\n%s%s", c, r.out, r.errors)
		}
	}
	manual, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## ocifs.dev/doctor/v1\n")
	var v map[string]any
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatal(err)
	}
	for key := range keys(v) {
		if key != "schema" && !strings.Contains(section, key+"`") {
			t.Errorf("docs/json.md does not say what %s is", key)
		}
	}
	if text := w.run("doctor", "app:v1"); strings.Contains(r.out+text.out+text.errors, "s3cr3t") || strings.Contains(r.out+text.out, auth) {
		t.Errorf("a secret is shown:\n%s%s", text.out, text.errors)
	}
	for _, c := range []struct {
		ref  string
		code int
	}{
		{"app:v2", exitNotFound},
		{"no.example/app:v1", exitFailure},
		{down.Host + "/app:v1", exitUnreachable},
		{"oci:" + w.in("nothing"), exitNotFound},
		{w.ref, exitOK},
		{mirror.Host + "/team/app:v1", exitOK},
	} {
		checks, r := w.doctor(c.ref)
		code := exitOK
		if i := slices.IndexFunc(checks, func(x check) bool { return x.State == checkFailed && x.Group == c.ref }); i >= 0 {
			code = r.code
		}
		if code != c.code && checkFUSE() == nil {
			t.Errorf("%s: exit code %d, want %d\n%s", c.ref, code, c.code, r.out)
		}
	}
	w.fails(exitUsage, "platform", "doctor", "--platform=x", "app:v1")
}

// doctor runs ocifs doctor and reads what it says.
func (w *world) doctor(ref string) ([]check, result) {
	w.t.Helper()
	r := w.run("doctor", "--json", ref)
	var d diagnosis
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Schema != "ocifs.dev/doctor/v1" || d.OK != (r.code == exitOK) {
		w.t.Fatalf("%v: %+v", err, r)
	}
	return d.Checks, r
}

// put writes a file in the world's home.
func (w *world) put(name, text string) {
	w.t.Helper()
	path := w.in(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestDoctorReads reads what the system says.
func TestDoctorReads(t *testing.T) {
	w := &world{t: t, home: t.TempDir()}
	for text, want := range map[string]bool{"": false, "user_allow_other\n": true, "# user_allow_other\n": false, "mount_max = 5\n  user_allow_other  \n": true} {
		w.put("fuse.conf", text)
		if got, err := usersMayAllowOther(w.in("fuse.conf")); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for release, want := range map[string]bool{"6.9.0": true, "6.18.44-x": true, "7.0": true, "6.8.12-amd64": false, "5.15.0": false, "": false, "x": false} {
		if kernelAtLeast(release, 6, 9) != want {
			t.Errorf("%q is at least 6.9: %v", release, !want)
		}
	}
	w.put("filesystems", "nodev\tsysfs\n\text4\nnodev\toverlay\n")
	if got := fileSystems(w.in("filesystems")); len(got) != 3 || !got["ext4"] || !got["overlay"] {
		t.Errorf("%v", got)
	}
	w.put("user/max_user_namespaces", "100\n")
	if got := userNamespaces(w.home); got != "yes" {
		t.Error(got)
	}
	w.put("user/max_user_namespaces", "0\n")
	if got := userNamespaces(w.home); !strings.HasPrefix(got, "none") {
		t.Error(got)
	}
	for in, want := range map[string]string{
		"http://u:p@h:1": "http://h:1", "http://h:1": "http://h:1", "u:p@h": "h", "localhost,10.0.0.0/8": "localhost,10.0.0.0/8", "http://u:p@x@h": "http://h",
	} {
		if got := withoutUser(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if err := punch(w.home); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(w.in(".doctor-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
