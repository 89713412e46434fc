package fetch

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const someDigest = "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// disk is a file system for the tests below.
var disk = map[string]finding{
	"/img":                  imageDir,
	"/img:odd":              imageDir,
	"/a/b.tar":              imageFile,
	"./b.tar":               imageFile,
	"b.tar":                 imageFile,
	"c.tar.gz":              imageFile,
	"My Layout":             imageDir,
	"./ubuntu":              imageFile,
	"./layout":              imageDir,
	"layout/":               imageDir,
	"layout":                imageDir,
	"alpine":                something, // a directory without an image
	"ubuntu":                imageFile,
	"/x@" + someDigest:      imageDir,
	"/dir":                  something,
	"/dir with: colon":      imageDir,
	"localhost:5000/a/b":    nothing,
	"/img:odd:more:colons/": nothing,
}

func TestParseReference(t *testing.T) {
	for ref, want := range map[string]string{
		// Registries.
		"busybox":                          "docker:docker.io/library/busybox:latest",
		"busybox:1.38":                     "docker:docker.io/library/busybox:1.38",
		"library/busybox":                  "docker:docker.io/library/busybox:latest",
		"docker.io/busybox":                "docker:docker.io/library/busybox:latest",
		"index.docker.io/busybox":          "docker:docker.io/library/busybox:latest",
		"docker://busybox":                 "docker:docker.io/library/busybox:latest",
		"docker://docker.io/library/x:tag": "docker:docker.io/library/x:tag",
		"quay.io/a/b/c:v1":                 "docker:quay.io/a/b/c:v1",
		"localhost/x":                      "docker:localhost/x:latest",
		"localhost:5000/a/b":               "docker:localhost:5000/a/b:latest",
		"127.0.0.1:5000/a:b":               "docker:127.0.0.1:5000/a:b",
		"[::1]:5000/a:b":                   "docker:[::1]:5000/a:b",
		"host:5000/repo@" + someDigest:     "docker:host:5000/repo@" + someDigest,
		"host:5000/repo:tag@" + someDigest: "docker:host:5000/repo@" + someDigest,
		"alpine":                           "docker:docker.io/library/alpine:latest", // a directory, but no image
		"docker://ubuntu":                  "docker:docker.io/library/ubuntu:latest", // though there is such a file
		"ubuntu":                           "docker:docker.io/library/ubuntu:latest",
		"layout":                           "docker:docker.io/library/layout:latest", // though there is such a layout
		"layout:tag":                       "docker:docker.io/library/layout:tag",
		"docker:dind":                      "docker:docker.io/library/docker:dind",       // the image of that name
		"docker.tar":                       "docker:docker.io/library/docker.tar:latest", // no such file
		"docker://b.tar":                   "docker:docker.io/library/b.tar:latest",
		"docker://dir:x":                   "docker:docker.io/library/dir:x",
		"docker:alpine:3.20":               "error",
		"docker:quay.io/x/y":               "error",
		"docker-daemon:alpine":             "error",
		"containers-storage:alpine":        "error",
		"dir:/img":                         "error",
		"sif:x":                            "error",
		"ostree:x":                         "error",
		"tarball:b.tar":                    "error",
		"Busybox":                          "error",
		"a/B":                              "error",
		"a:":                               "error",
		"a@sha256:123":                     "error",
		"a@md5:" + strings.Repeat("0", 32): "error",
		"a@" + strings.ToUpper(someDigest): "error",
		"a:t ag":                           "error",
		"https://host/a":                   "error",
		"":                                 "error",
		"docker://":                        "error",
		"docker:///etc":                    "error",
		strings.Repeat("a/", 200) + "b":    "error",
		"oci:":                             "error",
		"oci::tag":                         "error",
		"a\x00b":                           "error",
		"oci:/img\x00:tag":                 "error",
		// Layouts.
		"oci:/img":                       "oci:/img",
		"oci:/img/":                      "oci:/img",
		"oci:/img:tag":                   "oci:/img:tag",
		"oci:/img:busybox:1.38.0-glibc":  "oci:/img:busybox:1.38.0-glibc",
		"oci:/img:docker.io/library/x:1": "oci:/img:docker.io/library/x:1",
		"oci:/img:../../x y\n":           "oci:/img:../../x y\n",
		"oci:/img:odd":                   "oci:/img:odd",
		"oci:/img:odd:more:colons/":      "oci:/img:odd:more:colons/",
		"oci:/img@" + someDigest:         "oci:/img@" + someDigest,
		"oci:/img:tag@" + someDigest:     "oci:/img@" + someDigest,
		"oci:/img@" + someDigest + "@x":  "oci:/img@" + someDigest + "@x",
		"oci:/x@" + someDigest:           "oci:/x@" + someDigest, // the name of a directory
		"oci:/nowhere":                   "oci:/nowhere",
		"oci:/nowhere:tag:with:colons":   "oci:/nowhere:tag:with:colons",
		"oci-layout:///img:tag":          "oci:/img:tag",
		"oci:/dir with: colon:tag":       "oci:/dir with: colon:tag",
		"/img":                           "oci:/img",
		"/img:tag":                       "oci:/img:tag",
		"./layout":                       "oci:layout",
		"./layout:tag":                   "oci:layout:tag",
		"layout/":                        "oci:layout", // which is no image's name
		"My Layout":                      "oci:My Layout",
		"My Layout:tag":                  "oci:My Layout:tag",
		"/dir":                           "oci:/dir",
		"/nowhere":                       "oci:/nowhere",
		"../nowhere:tag":                 "oci:../nowhere:tag",
		// Archives.
		"oci-archive:/a/b.tar":             "oci-archive:/a/b.tar",
		"oci-archive:/a/b.tar:tag":         "oci-archive:/a/b.tar:tag",
		"docker-archive:/a/b.tar":          "docker-archive:/a/b.tar",
		"docker-archive:/a/b.tar:x:latest": "docker-archive:/a/b.tar:x:latest",
		"docker-archive:/a/b.tar:@1":       "docker-archive:/a/b.tar:@1",
		"/a/b.tar":                         "archive:/a/b.tar",
		"./b.tar:x":                        "archive:b.tar:x",
		"b.tar":                            "archive:b.tar",
		"b.tar:alpine:3.20":                "archive:b.tar:alpine:3.20",
		"./ubuntu":                         "archive:ubuntu",
		"c.tar.gz:x":                       "archive:c.tar.gz:x",
	} {
		got := "error"
		if r, err := parseReference(ref, func(p string) finding { return disk[p] }); err == nil {
			got = string(r.transport) + ":" + strings.TrimPrefix(r.String(), string(r.transport)+":")
		}
		if got != want {
			t.Errorf("%q: %s, want %s", ref, got, want)
		}
	}
}

// FuzzParseReference checks that what is accepted is safe to be used, and
// that it means the same when it is written out.
func FuzzParseReference(f *testing.F) {
	for path := range disk {
		f.Add(path)
		f.Add("oci:" + path + ":tag")
	}
	for _, s := range []string{"alpine", "docker://a.b/c@" + someDigest, "[::1]:5000/a:b", "docker-archive:b.tar:@1", "oci-layout://x"} {
		f.Add(s)
	}
	look := func(p string) finding { return disk[p] }
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseReference(s, look)
		if err != nil {
			return
		}
		if strings.ContainsRune(r.path, 0) {
			t.Error("a path with a zero byte")
		}
		if r.digest != "" && checkDigest(r.digest) != nil {
			t.Errorf("digest %q", r.digest)
		}
		if r.transport != transportRegistry {
			if r.path == "" {
				t.Error("no path")
			}
			return
		}
		if r.repo == "" || r.domain == "" || strings.Contains(r.repo, "..") || strings.ContainsAny(r.repo+r.domain+r.tag, "?#%\\ \n@") {
			t.Errorf("%+v", r)
		}
		r.short = "" // it has a registry now
		again, err := parseReference("docker://"+r.String(), look)
		if err != nil || again != r {
			t.Errorf("%+v is read as %+v, %v", r, again, err)
		}
	})
}

func TestCheckDigest(t *testing.T) {
	for d, ok := range map[digest.Digest]bool{
		someDigest:                     true,
		digest.SHA384.FromString("x"):  true,
		digest.SHA512.FromString("x"):  true,
		"":                             false,
		"sha256:":                      false,
		someDigest + "0":               false,
		digest.Digest(someDigest[:70]): false,
		someDigest + "\n":              false,
		" " + someDigest:               false,
		digest.Digest(strings.ToUpper(someDigest)):                   false,
		"sha256:" + digest.Digest(strings.ToUpper(someDigest[7:])):   false,
		digest.Digest("sha512:" + someDigest[7:]):                    false,
		"md5:d41d8cd98f00b204e9800998ecf8427e":                       false,
		"sha256:../../../../../../../../../../../../etc/passwd/1234": false,
		someDigest + "," + someDigest:                                false,
	} {
		if (checkDigest(d) == nil) != ok {
			t.Errorf("%q: %v", d, checkDigest(d))
		}
	}
}
