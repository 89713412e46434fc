package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestElsewhere gives what stands on the line to the application's registry, and
// to no other that the application names.
func TestElsewhere(t *testing.T) {
	w := newWorld(t)
	login := registrytest.Auth{Mode: registrytest.Basic, Username: "user", Password: "pw"}
	ours, other := registrytest.Start(t, registrytest.Options{Auth: login}), registrytest.Start(t, registrytest.Options{Auth: login})
	image := lt.Image{Tag: "image", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "")))}}
	app := func(tag, host string) lt.Artifact {
		return lt.Artifact{Type: "application/vnd.docker.compose.project", Tag: tag, Blobs: []lt.Blob{{
			MediaType: "application/vnd.docker.compose.file+yaml", Body: fmt.Appendf(nil, "services: {web: {image: '%s/r:image'}}", host),
		}}}
	}
	lt.WriteLayout(t, w.in("app"), image, app("here", ours.Host), app("there", other.Host))
	for _, reg := range []*registrytest.Server{ours, other} {
		if err := reg.PushLayout("r", "", w.in("app")); err != nil {
			t.Fatal(err)
		}
	}
	const shown = "compose.yaml\nimages\n"
	line := func(tag string) []string {
		return []string{"ls", "--all-images", "--creds=user:pw", ours.Host + "/r:" + tag}
	}
	if got := w.ok(line("here")...); got != shown {
		t.Errorf("in the same registry: %q", got)
	}
	w.fails(exitAuth, other.Host, line("there")...)
	body := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, other.Host, base64.StdEncoding.EncodeToString([]byte("user:pw")))
	if err := os.WriteFile(w.in("auth.json"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.ok(append(line("there"), "--authfile="+w.in("auth.json"))...); got != shown {
		t.Errorf("logged in there, too: %q", got)
	}
	var sum warmed
	if w.decode(&sum, "cache", "warm", "--json", "--all-images", "--authfile="+w.in("auth.json"), "oci:"+w.in("app")+":there"); sum.Requests == 0 {
		t.Errorf("what came for the image elsewhere is not counted: %+v", sum)
	}
	if got := w.ok("ls", "--creds=user:pw", ours.Host+"/r:there"); got != "compose.yaml\n" {
		t.Errorf("not asked for: %q", got)
	}
}
