// Package image joins what the leaves know: it turns a reference into a merged
// tree whose files can be read.
//
// A reference is resolved to a descriptor, through image indexes to the one
// manifest for a platform, and from there to a configuration and layers. Each
// layer's table of contents is taken from the cache, where every layer that
// was ever read has left it, or else made by reading the layer once; the trees
// of all layers are merged into one. A read of a file is a read of its layer's
// decoded space, which comes from the cache, chunk by chunk; a missing chunk is
// fetched, decoded, verified and kept.
//
// Everything hangs from the manifest's digest: documents are verified before
// they are parsed, layers by their digest and diffID when they are read, and
// each chunk by the states that were written down then.
package image
