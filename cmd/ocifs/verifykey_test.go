package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestVerifyKey mounts and looks into what is signed, and refuses what is not,
// in one line and with one exit code, whatever is asked for.
func TestVerifyKey(t *testing.T) {
	w := newWorld(t)
	key := func(name string, seed byte) ed25519.PrivateKey {
		k := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(seed), 32)))
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.in(name), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return k
	}
	good, _ := key("good.pub", 'g'), key("bad.pub", 'b')
	img := testImage()
	p := fmt.Sprintf(`{"critical":{"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"}}`, digestOf(img))
	sig := lt.Blob{MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Body: []byte(p),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(ed25519.Sign(good, []byte(p)))}}
	lt.WriteLayout(t, w.in("signed"), img, lt.Artifact{Type: "application/vnd.dev.cosign.artifact.sig.v1+json", Subject: img, Blobs: []lt.Blob{sig}})
	ref, unsigned := "oci:"+w.in("signed")+":t", "oci:"+w.in("plain")+":u"
	lt.WriteLayout(t, w.in("plain"), otherImage())
	if got := w.ok("cat", "--verify-key=good.pub", ref, "/etc/motd"); got != "hello\n" {
		t.Errorf("cat: %q", got)
	}
	if got := w.ok("inspect", "--verify-key=good.pub", ref); !strings.Contains(got, "\nSigned      yes\n") {
		t.Errorf("inspect:\n%s", got)
	}
	var doc inspected
	if w.decode(&doc, "inspect", "--verify-key=good.pub", "--json", ref); doc.Signed != digestOf(img) {
		t.Errorf("inspect --json: %q", doc.Signed)
	}
	w.ok("inspect", "--raw", "--verify-key=good.pub", ref)
	w.ok("history", "--verify-key=good.pub", ref)
	for _, words := range []string{
		"ls", "inspect", "inspect --raw", "inspect --manifest", "inspect --config", "inspect --json", "layers", "history", "find", "tree", "du", "export -o x.tar",
	} {
		for what, args := range map[string][]string{"not signed by the key": {"--verify-key=bad.pub", ref}, "there is none of": {"--verify-key=good.pub", unsigned}} {
			r := w.run(append(strings.Fields(words), args...)...)
			if r.code != exitIntegrity || r.out != "" || !strings.Contains(r.errors, what) || strings.Count(r.errors, "ocifs: error: ") != 1 || strings.Count(r.errors, "\n") != 2 {
				t.Errorf("%s: %+v", words, r)
			}
		}
	}
	w.fails(exitIntegrity, "not signed by the key", "diff", "--verify-key=bad.pub", ref, unsigned)
	w.fails(exitFailure, "nowhere.pub", "ls", "--verify-key=nowhere.pub", ref)
	w.fails(exitUsage, "no file is named", "ls", "--verify-key=", ref)
	w.fails(exitUsage, "nothing in PEM", "ls", "--verify-key=signed/oci-layout", ref)
	w.fails(exitUsage, "--index=repository", "ls", "--verify-key=good.pub", "--index=repository", ref)
	w.fails(exitUsage, "verify-key", "digest", "--verify-key=good.pub", ref)
	needFUSE(t)
	w.fails(exitIntegrity, "not signed by the key", "mount", "--verify-key=bad.pub", ref, w.mnt)
	if got := w.ok("mount", "-o", "verify_key=good.pub", ref, w.mnt); !strings.Contains(got, "; signed) on ") {
		t.Errorf("mount: %s", got)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}
