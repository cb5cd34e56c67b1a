/**
 * Shell completion. The scripts of the shells are small: each asks the command itself, by
 * `NAME --complete WORD...`, what the last word may become, and a last line `:file` or `:folder`
 * tells the shell to offer those.
 */
import { UsageError } from '../block/errors.ts';
import { dashed, type Option, parseCommandLine, splitLong, type Values } from './cli.ts';
import type { Command, CompletionWords } from './standard.ts';

/** The script that teaches a shell a command. @throws UsageError unknown shell. */
export function completionScript(name: string, shell: string): string {
  if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish') {
    throw new UsageError(`--completion: unknown shell '${shell}': expected bash, zsh or fish`);
  }
  return SCRIPTS[shell].replaceAll('NAME', name);
}

/** What the last word may become, one a line. @param words the command line after the command. */
export async function completions<Key extends string>(
  command: Command<Key>,
  words: readonly string[],
): Promise<string> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  const { choices, offer } = await offers(command, before, word);
  const lines = choices.filter(choice => choice.startsWith(word));
  if (offer !== undefined) lines.push(`:${offer}`);
  return lines.map(line => `${line}\n`).join('');
}

interface Offers {
  readonly choices: readonly string[];
  readonly offer?: 'file' | 'folder' | undefined;
}

async function offers<Key extends string>(
  command: Command<Key>,
  before: readonly string[],
  word: string,
): Promise<Offers> {
  const options = Object.values<Option>(command.options);
  const waiting = before.length > 0 ? valueAwaited(options, before.at(-1)!) : undefined;
  if (waiting) return valued('', waiting.values);
  if (word.startsWith('--') && word.includes('=')) {
    const [name] = splitLong(word);
    const option = options.find(({ names }) => names.includes(name));
    return valued(`--${name}=`, option?.value ? option.values : []);
  }
  if (word.startsWith('-')) {
    const shown = options.filter(({ hidden }) => !hidden);
    return { choices: shown.flatMap(({ names }) => names.map(dashed)) };
  }
  if (!command.wordsAfter) return { choices: [], offer: 'file' };
  const next = await command.wordsAfter(parseCommandLine(command.options, before));
  return worded(next, word);
}

/** The option that ends a line and still waits for its value. */
function valueAwaited(options: readonly Option[], last: string): Option | undefined {
  const option = options.find(({ names }) => names.some(name => dashed(name) === last));
  return option?.value === 'required' ? option : undefined;
}

function valued(lead: string, known: Values | (() => Values) = []): Offers {
  const values = typeof known === 'function' ? known() : known;
  if (typeof values === 'string') return { choices: [], offer: values };
  return { choices: values.map(value => lead + value) };
}

function worded({ words, keys = {} }: CompletionWords, word: string): Offers {
  const key = /^([^=]*)=/.exec(word)?.[1];
  if (key !== undefined) return valued(`${key}=`, Object.hasOwn(keys, key) ? keys[key] : 'file');
  const choices = [...(words ?? []), ...Object.keys(keys).map(name => `${name}=`)];
  return { choices, offer: 'file' };
}

const SCRIPTS = {
  bash: `\
# Completion for NAME in bash: eval "$(NAME --completion bash)"
_NAME() {
  local line=\${COMP_LINE:0:COMP_POINT} words last
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local word=\${words[-1]} value=\${words[-1]}
  [[ $COMP_WORDBREAKS == *=* ]] && value=\${word#*=}
  local lead=\${word%"$value"}
  mapfile -t COMPREPLY < <("\${words[0]}" --complete "\${words[@]:1}" 2>/dev/null)
  last=\${COMPREPLY[-1]-}
  if [[ $last == :* ]]; then
    unset 'COMPREPLY[-1]'
    local action=file
    [[ $last == :folder ]] && action=directory
    compopt -o filenames
    local path=\${word#*=}
    while IFS= read -r found; do
      COMPREPLY+=("\${word%"$path"}$found")
    done < <(compgen -A "$action" -- "$path")
  fi
  COMPREPLY=("\${COMPREPLY[@]#"$lead"}")
  [[ \${COMPREPLY[0]-} == *= ]] && compopt -o nospace
}
complete -F _NAME NAME
`,
  zsh: `\
#compdef NAME
# Completion for NAME in zsh: source <(NAME --completion zsh)
_NAME() {
  local -a found ready open
  found=("\${(@f)$("\${words[1]}" --complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  local last=\${found[-1]}
  [[ $last == :* ]] && found[-1]=()
  open=(\${(M)found:#*=})
  ready=(\${found:#*=})
  (( \${#ready} )) && compadd -- $ready
  (( \${#open} )) && compadd -S '' -- $open
  if [[ $last == :* ]]; then
    compset -P '*='
    if [[ $last == :folder ]]; then _files -/; else _files; fi
  fi
}
compdef _NAME NAME
`,
  fish: `\
# Completion for NAME in fish: NAME --completion fish | source
function __NAME_complete
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  set -l found ($words[1] --complete $words[2..-1] "$word" 2>/dev/null)
  for line in $found
    if not string match -q ':*' -- $line
      echo $line
      continue
    end
    set -l lead (string match -r '^[^=]*=' -- $word)
    for path in (__fish_complete_path (string replace -r '^[^=]*=' '' -- $word))
      echo "$lead$path"
    end
  end
end
complete -c NAME -f -a '(__NAME_complete)'
`,
} as const;
