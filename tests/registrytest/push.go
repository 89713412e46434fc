package registrytest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func reading(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
}

// change answers requests that change what the registry holds.
func (r *Registry) change(w http.ResponseWriter, req *http.Request, repo, what, name string) {
	switch {
	case !r.options.Writable:
		Fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is for reading")
	case what == "uploads":
		r.upload(w, req, repo, name)
	case what == "manifests" && req.Method == http.MethodPut:
		r.acceptManifest(w, req, repo, name)
	case what == "manifests" && req.Method == http.MethodDelete && !r.options.Keep:
		if !r.DeleteManifest(repo, name) {
			Fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		Fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
	}
}

// maxManifest is what registries allow at least, and many at most.
const maxManifest = 4 << 20

// acceptManifest takes a manifest whose blobs are there.
func (r *Registry) acceptManifest(w http.ResponseWriter, req *http.Request, repo, name string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		Fail(w, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", err.Error())
		return
	}
	var doc struct {
		MediaType         string
		Layers, Manifests []ocispec.Descriptor
		Config, Subject   *ocispec.Descriptor
	}
	mediaType := req.Header.Get("Content-Type")
	if err := json.Unmarshal(body, &doc); err != nil || doc.MediaType != "" && doc.MediaType != mediaType {
		Fail(w, http.StatusBadRequest, "MANIFEST_INVALID", fmt.Sprintf("%q: %v", mediaType, err))
		return
	}
	if d := digest.Digest(name); d.Validate() == nil && d.Algorithm().FromBytes(body) != d {
		Fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
		return
	}
	if doc.Config != nil {
		doc.Layers = append(doc.Layers, *doc.Config)
	}
	for _, l := range doc.Layers {
		if _, ok := r.findBlob(l.Digest); !ok {
			Fail(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", l.Digest.String())
			return
		}
	}
	for _, m := range doc.Manifests {
		if _, ok := r.findManifest(repo, m.Digest.String()); !ok {
			Fail(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", m.Digest.String())
			return
		}
	}
	tag := name
	if digest.Digest(name).Validate() == nil {
		tag = ""
	}
	d := r.PutManifest(repo, tag, mediaType, body)
	if doc.Subject != nil && r.options.Referrers.API {
		w.Header().Set("OCI-Subject", doc.Subject.Digest.String())
	}
	w.Header().Set("Location", "/v2/"+repo+"/manifests/"+d.Digest.String())
	w.Header().Set("Docker-Content-Digest", d.Digest.String())
	w.WriteHeader(http.StatusCreated)
}

// uploads are the sessions in which blobs are being pushed.
type uploads struct {
	mu   *sync.Mutex // guards open
	open map[string]*bytes.Buffer
}

func newUploads() uploads { return uploads{new(sync.Mutex), make(map[string]*bytes.Buffer)} }

// Uploads counts the sessions that were opened and not completed.
func (r *Registry) Uploads() int {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	return len(r.uploads.open)
}

// upload answers requests for the session id; "" is none yet.
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, repo, id string) {
	if id == "" && req.Method == http.MethodPost {
		r.beginUpload(w, req, repo)
		return
	}
	r.uploads.mu.Lock()
	b := r.uploads.open[id]
	r.uploads.mu.Unlock()
	switch {
	case b == nil || req.URL.Query().Get("state") != "x/"+id:
		Fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
	case req.Method == http.MethodGet:
		r.tellUpload(w, repo, id, b, http.StatusNoContent)
	case req.Method == http.MethodPatch:
		if !r.receive(w, req, b) {
			return
		}
		r.tellUpload(w, repo, id, b, http.StatusAccepted)
	case req.Method == http.MethodPut:
		if r.receive(w, req, b) {
			r.endUpload(w, req, repo, id, b.Bytes())
		}
	case req.Method == http.MethodDelete:
		r.dropUpload(id)
		w.WriteHeader(http.StatusNoContent)
	default:
		Fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
	}
}

// beginUpload opens a session, unless the blob comes with the request or is
// there to be mounted.
func (r *Registry) beginUpload(w http.ResponseWriter, req *http.Request, repo string) {
	query := req.URL.Query()
	if d := digest.Digest(query.Get("mount")); d != "" {
		if _, ok := r.findBlob(d); ok {
			r.created(w, repo, d)
			return
		}
	}
	id, b := rand.Text(), new(bytes.Buffer)
	r.uploads.mu.Lock()
	r.uploads.open[id] = b
	r.uploads.mu.Unlock()
	if query.Has("digest") {
		if r.receive(w, req, b) {
			r.endUpload(w, req, repo, id, b.Bytes())
		}
		return
	}
	r.tellUpload(w, repo, id, b, http.StatusAccepted)
}

// tellUpload says how far a session is and where it goes on.
func (r *Registry) tellUpload(w http.ResponseWriter, repo, id string, b *bytes.Buffer, status int) {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id+"?state=x%2F"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(b.Len()-1, 0)))
	w.WriteHeader(status)
}

// receive appends a request's body to a session, if it follows what is there.
func (r *Registry) receive(w http.ResponseWriter, req *http.Request, b *bytes.Buffer) bool {
	if s := req.Header.Get("Content-Range"); s != "" {
		var first, last int
		if _, err := fmt.Sscanf(s, "%d-%d", &first, &last); err != nil || first != b.Len() {
			Fail(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "not where the upload is")
			return false
		}
	}
	_, err := io.Copy(b, req.Body)
	if err != nil {
		Fail(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error())
	}
	return err == nil
}

func (r *Registry) endUpload(w http.ResponseWriter, req *http.Request, repo, id string, body []byte) {
	d := digest.Digest(req.URL.Query().Get("digest"))
	if d.Validate() != nil || d.Algorithm().FromBytes(body) != d {
		Fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
		return
	}
	r.dropUpload(id)
	r.PutContent(d, bytes.NewReader(body))
	r.created(w, repo, d)
}

func (r *Registry) dropUpload(id string) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	delete(r.uploads.open, id)
}

func (r *Registry) created(w http.ResponseWriter, repo string, d digest.Digest) {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+d.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Content-Length", strconv.Itoa(0))
	w.WriteHeader(http.StatusCreated)
}

// CutUpload breaks the connection after n bytes of a request's body have come.
func CutUpload(n int64) Fault {
	return Answer(func(_ http.ResponseWriter, req *http.Request) {
		io.CopyN(io.Discard, req.Body, n)
		panic(http.ErrAbortHandler)
	})
}
