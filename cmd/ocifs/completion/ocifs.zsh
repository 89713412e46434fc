#compdef ocifs
# Completes ocifs in zsh.

_ocifs() {
	local line word what files=0
	local -a found
	for line in "${(@f)$(${(Q)words[1]} complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files) files=1 ;;
		:dirs) files=2 ;;
		*$'\t'*) word=${line%%$'\t'*} what=${line#*$'\t'}; found+=("${word//:/\\:}:$what") ;;
		*) found+=("${line//:/\\:}") ;;
		esac
	done
	(( $#found )) && _describe -V ocifs found
	case $files in
	1) _files ;;
	2) _files -/ ;;
	esac
}

if [[ $funcstack[1] == _ocifs ]]; then
	_ocifs "$@"
else
	compdef _ocifs ocifs
fi
