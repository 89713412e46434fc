// Package fetch reads images where they are kept, as they are kept: nothing
// is unpacked, converted or stored.
//
// A reference names a place and an image in it:
//
//	alpine, alpine:3.20, ghcr.io/x/y@sha256:…, docker://…    a registry
//	oci:DIR, oci:DIR:TAG, oci:DIR@sha256:…                    an OCI image layout
//	oci-archive:FILE, oci-archive:FILE:TAG                    a layout in a tar archive
//	docker-archive:FILE, …:REF, …:@N                          what docker save writes
//	/PATH, ./PATH, ../PATH, FILE.tar: as above, whichever it is
//
// Open makes a Source of it. A Source resolves the reference to a descriptor,
// delivers documents (manifests, indexes, configs: small, read whole, always
// verified) and opens blobs (layers: large, read anywhere, verified by whoever
// knows their chunks). It lists what refers to a manifest, finds the image
// beside it with a name made of its own, and registries and layouts can be
// pushed to. All else is arrangements within:
//
//	Source ── place ── registry ── network            documents, and blobs as remote
//	               ├── mirrored ── registries         the same, from several in turn
//	               ├── searched ── places             of a short name, whoever has it
//	               ├── layout ── directory            index.json and blobs/
//	               │         └── archive              the same, in a tar
//	               └── dockerArchive ── archive       manifest.json, made to look like the above
//
// # Registries
//
// A registry is spoken to by https. On the loopback interface, where they often
// have no TLS, the first connection finds that out, and http is the answer; a
// certificate that is not to be trusted remains an error there, too.
//
// A request to a registry's API (registry.ask) carries the credentials that
// the registry asks for, and never follows a redirect by itself. Where a
// redirect leads away from the registry, a client without any credentials
// goes on. For blobs that place is remembered (whereabouts), and ranges are
// read there until it answers with an error.
//
// Reading a blob is layered: remote.open sends one bounded ranged request and
// checks that the answer fits it; resuming asks for the rest of an answer that
// was cut short; stream runs several of these side by side. Retries with
// growing pauses happen in resuming for blobs, and in patience.do for documents;
// nothing below them retries, except that a credential which has run out is
// renewed at once.
//
// A registry that lacks a blob is asked once more, after it has been asked for
// the manifest (registry.wake): those that copy images as they are asked for
// may have to be told so what it is about; those that forget some of it, again.
//
// # Configuration and mirrors
//
// Config names the files in which people have written down how registries are
// reached: registries.conf, hosts.toml, certs.d. Config.plans makes of them and
// of a reference a plan: a list of endpoints, which are servers with all that
// is to be known to ask them. Files are read once, when a Source is opened; a
// plan of one endpoint is a registry and costs no request more.
//
// Of several, mirrored asks one after the other. A mirror has little patience
// with it (Retry.forMirrors), and is left alone for a while when it is down. A
// blob's reader goes from one to the next in the middle, if need be, and whoever
// finds its bytes wrong says so (Blob.Distrust) and reads the next one's. Whoever
// may not resolve is asked neither for tags nor for referrers, which nothing
// verifies. What a user gives outright (credentials, headers, the scheme) is
// for the registry that the reference names, by that name, and nobody else;
// mirrors get the credentials that files keep for them.
//
// # Archives
//
// A tar archive is read in place. One that is compressed as a whole can't be:
// when it is seen for the first time, or when a layer is read, all of it is
// unpacked into a file without a name, which is given up once it is idle. What
// was learnt of it, its members and its documents, goes to Options.Memory, from
// where it is opened the next time. A layer's digest in a Docker archive is a
// claim, see dockerArchive and Blob.Prove.
//
// # Referrers and pushes
//
// A manifest that has a subject is a referrer of that one. A registry with the
// referrers API lists them (registry.askReferrers); for others, clients keep
// the list under a tag made of the subject's digest (registry.fallback), which
// nothing guards against lost updates (registry.updateFallback). A layout has
// them in index.json, without a name.
//
// What is pushed is a payload: it is opened once for each try, and verified
// while it is sent, so that wrong content never arrives as a whole. A blob is
// sent by one request, a manifest last. In a layout, files appear under their
// names once they are complete, and index.json is locked while it is changed.
//
// Credentials are shown to the registry's host, and to the token server that
// it names (its realm) if that belongs to the same people, as far as names tell:
// the host is the same, on whatever port, or both are in one domain that can be
// registered (registry-1.docker.io and auth.docker.io; registry.example.com and
// gitlab.example.com), or both have names or addresses that exist in an intranet
// only (10.0.0.5 and gitlab.corp), or the user lists it (Auth.TokenHosts). Any
// other one is asked for a token for nobody.
//
// # Limits
//
// What a registry can lead us to is limited: redirects and token servers may
// be anywhere but at link-local, metadata and loopback addresses (unless the
// registry is there itself), and never lead from https to http.
package fetch
