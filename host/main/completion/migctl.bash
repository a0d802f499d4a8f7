# bash completion for migctl. Install as share/bash-completion/completions/migctl.
shopt -s extglob
_migctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= word i words=()
    local common="--url --tenant --token --actor --admin-key --timeout --http2 --ca --cert --cert-key --insecure
        --json --help --version"
    local commands="hello discover invoke cancel publish subscribe conformance plugins reload instances new
        validate check help"
    local valued="@(--url|--tenant|--token|--actor|--admin-key|--timeout|--ca|--cert|--cert-key|--query|--message-id\
|--idempotency-key|--cap-version|--reason|--key|--consumer|--cursor|--max|--profile|--capability|--second-tenant\
|--second-token|--only)"

    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        $valued) ((i++)) ;;
        -*) ;;
        *) words+=("${COMP_WORDS[i]}") ;;
        esac
    done
    cmd=${words[0]-}
    case $prev in
    --ca | --cert | --cert-key) compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --profile) COMPREPLY=($(compgen -W "core streaming evented full" -- "$cur")); return ;;
    $valued) return ;;
    esac
    if [[ $cur == -* ]]; then
        case $cmd in
        discover) word="--query" ;;
        invoke) word="--message-id --idempotency-key --cap-version --stream" ;;
        cancel) word="--reason" ;;
        publish) word="--key --idempotency-key --message-id" ;;
        subscribe) word="--consumer --cursor --max" ;;
        conformance) word="--profile --capability --second-tenant --second-token --only --list" ;;
        reload) word="--dry-run" ;;
        new) word="--manifest" ;;
        check) word="--no-run" ;;
        esac
        COMPREPLY=($(compgen -W "$common $word" -- "$cur"))
        return
    fi
    case $cmd in
    "") COMPREPLY=($(compgen -W "$commands" -- "$cur")) ;;
    help) COMPREPLY=($(compgen -W "$commands" -- "$cur")) ;;
    invoke)
        # Capability ids of a running daemon; silence when there is none.
        [[ ${#words[@]} -eq 1 ]] && COMPREPLY=($(compgen -W \
            "$(migctl discover --timeout 1 2>/dev/null | awk 'NR > 1 {print $1}')" -- "$cur")) ;;
    plugins)
        if [[ ${#words[@]} -eq 1 ]]; then
            COMPREPLY=($(compgen -W "list show reload" -- "$cur"))
        else
            COMPREPLY=($(compgen -W \
                "$(migctl plugins --timeout 1 2>/dev/null | awk 'NR > 1 {print $1}')" -- "$cur"))
        fi ;;
    new) [[ ${#words[@]} -eq 1 ]] && COMPREPLY=($(compgen -W "plugin lua manifest" -- "$cur")) ;;
    validate) compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -X '!*.@(yaml|yml|json)' -- "$cur") $(compgen -d -- "$cur")) ;;
    check) compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -X '!*.so' -- "$cur") $(compgen -d -- "$cur")) ;;
    esac
}
complete -F _migctl migctl
