# Completes ocifs in bash, without the package bash-completion.

_ocifs() {
	local line=${COMP_LINE:0:COMP_POINT} words candidate cur breaks='' prefix=''
	# bash splits words at : = @, and replaces only what is behind the last.
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	cur=${words[-1]}
	for candidate in : = @; do
		[[ $COMP_WORDBREAKS == *$candidate* ]] && breaks+=$candidate
	done
	[[ -n $breaks && $cur == *[$breaks]* ]] && prefix=${cur%"${cur##*[$breaks]}"}
	COMPREPLY=()
	while IFS=$'\t' read -r candidate _; do
		case $candidate in
		:files) compopt -o default 2>/dev/null ;;
		:dirs) compopt -o dirnames 2>/dev/null ;;
		*) printf -v candidate %q "${candidate#"$prefix"}"; COMPREPLY+=("$candidate") ;;
		esac
	done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _ocifs ocifs
